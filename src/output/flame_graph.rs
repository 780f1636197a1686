//! A flame graph as a picture, and as a tree for the terminal.

use std::fmt::Write;

use crate::model::flame_graph::{Frame, FrameOrigin, hottest};
use crate::model::shortened::shortened;
use crate::output::terminal::{DIM, WARN, clean, cut};

/// Width of the picture, height of a frame, and width of a letter.
const WIDTH: f64 = 1200.0;
const ROW: usize = 17;
const LETTER: f64 = 6.6;
/// Room for the title.
const TOP: usize = 44;
/// Narrowest frame that is drawn.
const NARROWEST: f64 = 0.3;

/// A click on a frame shows it as wide as the picture; one on the lowest shows all.
const ZOOM: &str = "var W=1200,all=[].slice.call(document.querySelectorAll('g.f'));\
function show(x,w){all.forEach(function(g){var d=g.dataset,l=(d.x-x)/w*W,r=l+d.w/w*W;\
g.style.display=r<=0.01||l>=W-0.01?'none':'';l=Math.max(l,0);r=Math.min(r,W);\
var b=g.children[1],t=g.children[2],n=Math.floor((r-l-4)/6.6);\
b.setAttribute('x',l);b.setAttribute('width',Math.max(r-l-0.5,0.2));t.setAttribute('x',l+2);\
t.textContent=n<3?'':d.n.length<=n?d.n:d.n.slice(0,n-1)+'\\u2026'})}\
all.forEach(function(g){g.onclick=function(){show(+g.dataset.x,+g.dataset.w)}})";

/// A picture that needs nothing else, in SVG.
pub(crate) fn svg(root: &Frame, title: &str) -> String {
    let height = TOP + ROW * (depth(root) + 1);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"monospace\" font-size=\"11\">\n\
         <style>g.f{{cursor:pointer}}g.f:hover rect{{stroke:#000}}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"4\" y=\"18\" font-size=\"14\">{}</text>\n\
         <text x=\"4\" y=\"34\" fill=\"#666\">{} samples. Orange: the job; blue: Flink; green: Java. Click a frame to enlarge it.</text>\n",
        escaped(title),
        root.samples
    );
    draw(&mut out, root, (0.0, 1.0), height - ROW, root.samples);
    let _ = write!(out, "<script>//<![CDATA[\n{ZOOM}\n//]]></script>\n</svg>\n");
    out
}

pub(crate) fn html(root: &Frame, title: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{}</title></head>\n<body style=\"margin:0\">\n{}</body></html>\n",
        escaped(title),
        svg(root, title)
    )
}

fn depth(frame: &Frame) -> usize {
    frame.children.iter().map(|child| depth(child) + 1).max().unwrap_or(0)
}

/// Draws a frame from `x`, with its width, as shares of the picture, at the height `y`.
fn draw(out: &mut String, frame: &Frame, (x, width): (f64, f64), y: usize, all: u64) {
    let (left, wide) = (x * WIDTH, width * WIDTH);
    if wide < NARROWEST {
        return;
    }
    let color = match frame.origin() {
        _ if frame.name == "root" => "#ddd",
        FrameOrigin::User => "#fb9a4b",
        FrameOrigin::Flink => "#9ecae1",
        FrameOrigin::Java => "#b5d8a8",
    };
    let name = escaped(&frame.name);
    let letters = letters(wide);
    let label = if letters < 3 {
        String::new()
    } else {
        escaped(&shortened(&frame.name, letters))
    };
    let _ = writeln!(
        out,
        "<g class=\"f\" data-x=\"{x:.6}\" data-w=\"{width:.6}\" data-n=\"{name}\"><title>{name}: {} of {all}, {}</title>\
         <rect x=\"{left:.2}\" y=\"{y}\" width=\"{:.2}\" height=\"{}\" fill=\"{color}\"/>\
         <text x=\"{:.2}\" y=\"{}\">{label}</text></g>",
        frame.samples,
        percent(frame.samples, all).trim(),
        (wide - 0.5).max(0.2),
        ROW - 1,
        left + 2.0,
        y + 12,
    );
    let mut at = x;
    let mut children: Vec<&Frame> = frame.children.iter().collect();
    children.sort_by(|one, other| one.name.cmp(&other.name));
    for child in children {
        let share = width * ratio(child.samples, frame.samples);
        draw(out, child, (at, share), y - ROW, all);
        at += share;
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn letters(width: f64) -> usize {
    ((width - 4.0).max(0.0) / LETTER) as usize
}

#[allow(clippy::cast_precision_loss)]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:5.1}%", ratio(part, whole) * 100.0)
}

fn escaped(text: &str) -> String {
    let text = clean(text);
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// The hottest frames in at most `rows` lines, cut to `width`.
pub(crate) fn tree(root: &Frame, rows: usize, width: Option<usize>) -> String {
    let mut out = format!("{DIM} TOTAL    SELF  FRAME{DIM:#}\n");
    for found in hottest(root, rows) {
        let frame = found.frame;
        let (total, own) = (
            percent(frame.samples, root.samples),
            percent(frame.own_samples(), root.samples),
        );
        let mark = if found.left_out > 0 { "… " } else { "" };
        let name = clean(&frame.short_name());
        let style = if frame.origin() == FrameOrigin::User {
            WARN
        } else {
            anstyle::Style::new()
        };
        let line = format!(
            "{total}  {own}  {}{mark}{style}{name}{style:#}",
            "  ".repeat(found.depth)
        );
        out.push_str(&match width {
            Some(width) => cut(&line, width).into_owned(),
            None => line,
        });
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Frame {
        let frame = |name: &str, samples, children| Frame {
            name: name.to_owned(),
            samples,
            children,
        };
        let inner = vec![
            frame("my.Job.<init>:1", 3, Vec::new()),
            frame("a.B.c\u{1b}&\"d:2", 1, Vec::new()),
        ];
        frame("root", 4, vec![frame("java.lang.Thread.run:1", 4, inner)])
    }

    #[test]
    fn the_picture_is_valid_and_nothing_in_it_is_markup_of_a_name() {
        let picture = svg(&sample(), "<script>");
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
        assert_eq!(picture.matches("<script>").count(), 1, "{picture}");
        assert!(picture.contains("data-n=\"my.Job.&lt;init&gt;:1\""), "{picture}");
        assert!(
            picture.contains("a.B.c\u{fffd}&amp;&quot;d:2: 1 of 4, 25.0%"),
            "{picture}"
        );
        // The two share the width of the one below them: 1 of 4 first, by their names.
        assert!(
            picture.contains("<rect x=\"300.00\" y=\"44\" width=\"899.50\""),
            "{picture}"
        );
        assert!(html(&sample(), "t").contains(&svg(&sample(), "t")));
    }

    #[test]
    fn the_tree_has_percentages_and_fits() {
        let plain = |text: String| anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            plain(tree(&sample(), 20, None)),
            " TOTAL    SELF  FRAME\n100.0%    0.0%  j.l.Thread.run:1\n 75.0%   75.0%    m.Job.<init>:1\n 25.0%   25.0%    a.B.c\u{fffd}&\"d:2\n"
        );
        let narrow = plain(tree(&sample(), 2, Some(24)));
        assert_eq!(narrow.lines().count(), 3, "{narrow}");
        assert!(narrow.lines().all(|line| line.chars().count() <= 24), "{narrow}");
    }
}

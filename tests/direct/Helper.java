import java.io.*;
import java.lang.reflect.*;
import java.nio.charset.StandardCharsets;

/** Answers lines of standard input by Flink's own BashJavaUtils: a command and its arguments, separated by tabs. */
public class Helper {
    public static void main(String[] ignored) throws Exception {
        PrintStream out = System.out;
        Method helper = Class.forName("org.apache.flink.runtime.util.bash.BashJavaUtils").getMethod("main", String[].class);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = lines.readLine()) != null; ) {
            ByteArrayOutputStream printed = new ByteArrayOutputStream();
            System.setOut(new PrintStream(printed, true, "UTF-8"));
            StringBuilder answer = new StringBuilder();
            try {
                helper.invoke(null, (Object) line.split("\t"));
                for (String one : printed.toString("UTF-8").split("\n")) {
                    if (one.startsWith("BASH_JAVA_UTILS_EXEC_RESULT:")) {
                        answer.append(answer.length() > 0 ? "\t" : "").append(one.substring(one.indexOf(':') + 1));
                    }
                }
            } catch (InvocationTargetException e) {
                answer.append("error: ").append(String.valueOf(e.getCause()).replaceAll("\\s+", " "));
            }
            // The helper logs to standard output too.
            out.println("ANSWER\t" + answer);
            out.flush();
        }
    }
}

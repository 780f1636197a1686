package org.kubectlflink.jobs;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * A job that counts, to show that nothing is lost when it is stopped, resumed and rescaled.
 *
 * <p>A source of numbers (one task), a count per key (as many tasks as the job's parallelism), the total (one
 * task). Every operator has a fixed uid, and the maximal parallelism is 128. It runs for ever unless an argument says
 * otherwise.
 *
 * <pre>
 * --rate R            numbers per second, 100 by default
 * --finish-after N    ends well after N numbers
 * --fail-after N      fails at the Nth number, and again after every restart
 * --slow SECONDS      every checkpoint and savepoint takes this long
 * --extra             one more operator with state, which a later start without it cannot restore
 * --name NAME         the job's name, "counting" by default
 * --throw-in-main     throws before the job is made
 * --no-execute        returns without running the job
 * --print-args WHERE  writes the line ARGS ["…",…] with all arguments as JSON to a file or, for "stdout", there
 * </pre>
 *
 * <p>Other arguments are ignored, so that any text can be passed to see how it arrives.
 */
public final class CountingJob {
    static final int KEYS = 128;
    static final int MAX_PARALLELISM = 128;

    private CountingJob() {}

    public static void main(String[] args) throws Exception {
        String where = option(args, "--print-args", null);
        if (where != null) {
            String line = "ARGS " + json(args);
            if (where.equals("stdout")) {
                System.out.println(line);
            } else {
                Files.write(Path.of(where), (line + "\n").getBytes(StandardCharsets.US_ASCII));
            }
        }
        List<String> given = Arrays.asList(args);
        if (given.contains("--throw-in-main")) {
            throw new IllegalStateException("thrown in main on purpose");
        }

        StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment();
        environment.setMaxParallelism(MAX_PARALLELISM);
        DataStream<Long> numbers = numbers(environment, args);
        if (given.contains("--extra")) {
            numbers.keyBy(number -> (int) (number % KEYS), Types.INT)
                    .process(new CountPerKey())
                    .returns(Types.TUPLE(Types.INT, Types.LONG))
                    .name("extra")
                    .uid("extra");
        }
        numbers.keyBy(number -> (int) (number % KEYS), Types.INT)
                .process(new CountPerKey())
                .returns(Types.TUPLE(Types.INT, Types.LONG))
                .name("keys")
                .uid("keys")
                .flatMap(new Total(KEYS, number(args, "--fail-after", Long.MAX_VALUE), number(args, "--slow", 0)))
                .returns(Types.LONG)
                .setParallelism(1)
                // At a parallelism of one it would join the operator before it, and its metrics would move.
                .disableChaining()
                .name("total")
                .uid("total");
        if (!given.contains("--no-execute")) {
            environment.execute(option(args, "--name", "counting"));
        }
    }

    static DataStream<Long> numbers(StreamExecutionEnvironment environment, String[] args) {
        Ticker ticker = new Ticker(number(args, "--rate", 100), number(args, "--finish-after", Long.MAX_VALUE));
        return environment
                .fromSource(ticker, WatermarkStrategy.noWatermarks(), "numbers", Types.LONG)
                .setParallelism(1)
                .uid("numbers");
    }

    private static String option(String[] args, String name, String otherwise) {
        int at = Arrays.asList(args).indexOf(name);
        return at < 0 || at + 1 == args.length ? otherwise : args[at + 1];
    }

    private static long number(String[] args, String name, long otherwise) {
        String value = option(args, name, null);
        return value == null ? otherwise : Long.parseLong(value);
    }

    /** The arguments as a JSON array in plain ASCII, whatever the encoding of the log they end up in. */
    private static String json(String[] args) {
        StringBuilder out = new StringBuilder("[");
        for (String arg : args) {
            out.append(out.length() > 1 ? "," : "").append('"');
            for (char unit : arg.toCharArray()) {
                if (unit == '"' || unit == '\\') {
                    out.append('\\').append(unit);
                } else if (unit >= ' ' && unit <= '~') {
                    out.append(unit);
                } else {
                    out.append(String.format("\\u%04x", (int) unit));
                }
            }
            out.append('"');
        }
        return out.append(']').toString();
    }
}

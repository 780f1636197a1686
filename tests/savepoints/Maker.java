import java.io.File;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/**
 * Writes savepoints and checkpoints of every form that a release has: {@code Maker MINOR FOLDER}, where MINOR is the release
 * as a number, such as 117 or 203. Each job runs in this JVM. It compiles with the API of Flink 1.13 and with that of 2.3.
 */
public final class Maker {
    /** How long anything may take. */
    static final long LIMIT_MS = 120_000;

    public static void main(String[] args) throws Exception {
        int minor = Integer.parseInt(args[0]);
        File folder = new File(args[1]);
        new Job("hashmap", false).uids().write(minor, folder);
        new Job("hashmap", false).files().unaligned().write(minor, folder);
        new Job("rocksdb", true).uids().write(minor, folder);
        new Job("rocksdb", true).files().unaligned().uids().write(minor, folder);
        new Job("rocksdb", false).files().with("heap-timers", "state.backend.rocksdb.timer-service.factory", "HEAP")
                .write(minor, folder);
        if (minor >= 114) {
            new Job("hashmap", false).uids()
                    .with("finished", "execution.checkpointing.checkpoints-after-tasks-finish.enabled", "true")
                    .write(minor, folder);
        }
        if (minor >= 120) {
            new Job("hashmap", false).files().with("changelog", "state.backend.changelog.enabled", "true")
                    .and("state.changelog.enabled", "true").and("state.backend.changelog.storage", "filesystem")
                    .and("state.changelog.storage", "filesystem")
                    .and("dstl.dfs.base-path", new File(folder, "changelog").toURI().toString())
                    .and("state.changelog.dstl.dfs.base-path", new File(folder, "changelog").toURI().toString())
                    .write(minor, folder);
            new Job("rocksdb", true).files().with("merged", "execution.checkpointing.file-merging.enabled", "true")
                    .write(minor, folder);
        }
        System.exit(0);
    }

    static final class Job {
        final Map<String, String> settings = new LinkedHashMap<>();
        String name;
        boolean uids;
        boolean slow;
        boolean finishes;

        Job(String backend, boolean incremental) {
            name = backend + (incremental ? "-incremental" : "");
            and("state.backend", backend);
            and("state.backend.type", backend);
            and("state.backend.incremental", String.valueOf(incremental));
            and("execution.checkpointing.incremental", String.valueOf(incremental));
        }

        Job and(String key, String value) {
            settings.put(key, value);
            return this;
        }

        Job with(String word, String key, String value) {
            name += "-" + word;
            finishes |= word.equals("finished");
            return and(key, value);
        }

        Job uids() {
            name += "-uids";
            uids = true;
            return this;
        }

        /** Small state is in files of its own, too. */
        Job files() {
            name += "-files";
            and("state.storage.fs.memory-threshold", "1b");
            return and("execution.checkpointing.data-inline-threshold", "1b");
        }

        /** Checkpoints have records in flight: what reads them is slow. */
        Job unaligned() {
            name += "-unaligned";
            slow = true;
            and("execution.checkpointing.unaligned", "true");
            return and("execution.checkpointing.unaligned.enabled", "true");
        }

        void write(int minor, File all) throws Exception {
            File folder = new File(all, name);
            File written = new File(folder, "written");
            Configuration configuration = new Configuration();
            settings.forEach(configuration::setString);
            configuration.setString("state.checkpoints.dir", new File(written, "checkpoints").toURI().toString());
            configuration.setString("execution.checkpointing.dir", new File(written, "checkpoints").toURI().toString());
            configuration.setString("execution.checkpointing.interval", "500ms");
            configuration.setString("execution.checkpointing.min-pause", "500ms");
            configuration.setString(
                    "execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION");
            configuration.setString("taskmanager.memory.segment-size", "4kb");
            configuration.setString("taskmanager.network.memory.buffers-per-channel", "2");
            configuration.setString("taskmanager.network.memory.floating-buffers-per-gate", "2");
            configuration.setString("rest.bind-address", "127.0.0.1");
            configuration.setString("rest.bind-port", "0");
            JobClient job = started(configuration);
            File checkpoints = new File(written, "checkpoints/" + job.getJobID());
            // Three of them, so that incremental ones share files with those before.
            until(() -> checkpoint(checkpoints).filter(file -> number(file) >= 3).isPresent());
            keep(savepoint(job, written, "CANONICAL", minor), folder, "canonical");
            if (minor >= 115) {
                keep(savepoint(job, written, "NATIVE", minor), folder, "native");
            }
            CompletableFuture<?> ended = job.getJobExecutionResult().handle((result, canceled) -> null);
            job.cancel().get(LIMIT_MS, TimeUnit.MILLISECONDS);
            ended.get(LIMIT_MS, TimeUnit.MILLISECONDS);
            keep(checkpoint(checkpoints).get(), folder, "checkpoint");
            System.out.println(name);
        }

        JobClient started(Configuration configuration) throws Exception {
            StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(2, configuration);
            env.setMaxParallelism(16);
            SingleOutputStreamOperator<Long> numbers = named(env.fromSource(
                    new NumberSequenceSource(0, Long.MAX_VALUE), WatermarkStrategy.noWatermarks(), "numbers"), "numbers");
            SingleOutputStreamOperator<Long> noted = named(numbers.map(new Noted(slow ? 0 : 1)).name("noted"), "noted");
            SingleOutputStreamOperator<Long> counted =
                    named(noted.keyBy(new Key()).process(new Counted(slow ? 1 : 0)).name("counted"), "counted");
            named(counted.rebalance().map(new Noted(0)).name("last"), "last").setParallelism(1);
            if (finishes) {
                SingleOutputStreamOperator<Long> few = named(env.fromSource(
                        new NumberSequenceSource(0, 9), WatermarkStrategy.noWatermarks(), "few"), "few");
                named(few.keyBy(new Key()).process(new Counted(0)).name("few counted"), "few counted");
            }
            return env.executeAsync(name);
        }

        SingleOutputStreamOperator<Long> named(SingleOutputStreamOperator<Long> operator, String uid) {
            return uids ? operator.uid(uid) : operator;
        }
    }

    static String savepoint(JobClient job, File folder, String format, int minor) throws Exception {
        String target = new File(folder, "savepoints").toURI().toString();
        Object written;
        if (minor < 115) {
            written = JobClient.class.getMethod("triggerSavepoint", String.class).invoke(job, target);
        } else {
            Class<?> formats = Class.forName("org.apache.flink.core.execution.SavepointFormatType");
            Method trigger = JobClient.class.getMethod("triggerSavepoint", String.class, formats);
            written = trigger.invoke(job, target, formats.getField(format).get(null));
        }
        return (String) ((CompletableFuture<?>) written).get(LIMIT_MS, TimeUnit.MILLISECONDS);
    }

    /** The file of the newest completed checkpoint. */
    static Optional<String> checkpoint(File folder) {
        File[] all = folder.listFiles((at, name) -> name.startsWith("chk-") && new File(at, name + "/_metadata").isFile());
        return Stream.of(all == null ? new File[0] : all).map(File::getPath).max((a, b) -> number(a) - number(b));
    }

    static int number(String path) {
        return Integer.parseInt(path.substring(path.lastIndexOf("chk-") + 4));
    }

    static void keep(String path, File folder, String form) throws Exception {
        Path to = new File(folder, form).toPath();
        Files.createDirectories(to);
        Path from = Path.of(path.replaceFirst("^file:/*", "/"));
        Files.copy(from.resolve("_metadata"), to.resolve("_metadata"), StandardCopyOption.REPLACE_EXISTING);
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    static void until(Condition condition) throws Exception {
        long begun = System.currentTimeMillis();
        while (!condition.holds()) {
            if (System.currentTimeMillis() - begun > LIMIT_MS) {
                throw new IllegalStateException("it takes too long");
            }
            Thread.sleep(100);
        }
    }

    static final class Key implements KeySelector<Long, Long> {
        @Override
        public Long getKey(Long number) {
            return number % 7;
        }
    }

    /** Has lists, one of them redistributed as a union, and a broadcast map. */
    static final class Noted implements MapFunction<Long, Long>, CheckpointedFunction {
        final int pause;
        long last;
        transient ListState<Long> numbers;
        transient ListState<Long> all;

        Noted(int pause) {
            this.pause = pause;
        }

        @Override
        public Long map(Long number) throws Exception {
            Thread.sleep(pause);
            last = number;
            return number;
        }

        @Override
        public void initializeState(FunctionInitializationContext context) throws Exception {
            numbers = context.getOperatorStateStore().getListState(new ListStateDescriptor<>("numbers", Long.class));
            all = context.getOperatorStateStore().getUnionListState(new ListStateDescriptor<>("all", Long.class));
            context.getOperatorStateStore()
                    .getBroadcastState(new MapStateDescriptor<>("rules", String.class, String.class))
                    .put("rule", "value");
        }

        @Override
        public void snapshotState(FunctionSnapshotContext context) throws Exception {
            numbers.clear();
            all.clear();
            for (long number = last; number < last + 3; number++) {
                numbers.add(number);
                all.add(number);
            }
        }
    }

    /** Has a value for each key, and timers. */
    static final class Counted extends KeyedProcessFunction<Long, Long, Long> {
        final int pause;
        transient ValueState<Long> count;

        Counted(int pause) {
            this.pause = pause;
        }

        @Override
        public void processElement(Long number, Context context, Collector<Long> out) throws Exception {
            Thread.sleep(pause);
            if (count == null) {
                count = getRuntimeContext().getState(new ValueStateDescriptor<>("count", Long.class));
            }
            Long before = count.value();
            count.update(before == null ? 1 : before + 1);
            context.timerService().registerEventTimeTimer(number + 1_000_000);
            out.collect(number);
        }
    }
}

import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedSet;
import java.util.TreeSet;
import org.apache.flink.runtime.checkpoint.Checkpoints;
import org.apache.flink.runtime.checkpoint.MasterState;
import org.apache.flink.runtime.checkpoint.OperatorState;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.checkpoint.StateObjectCollection;
import org.apache.flink.runtime.checkpoint.metadata.CheckpointMetadata;
import org.apache.flink.runtime.state.OperatorStateHandle;
import org.apache.flink.runtime.state.filesystem.FileStateHandle;
import org.apache.flink.runtime.state.filesystem.RelativeFileStateHandle;

/** What Flink's own loader reads from files {@code _metadata}: a line of JSON for each, in the words of {@code savepoint inspect}. */
final class SavepointFacts {
    public static void main(String[] files) throws Exception {
        for (String file : files) {
            byte[] bytes = Files.readAllBytes(Path.of(file));
            String folder = Path.of(file).getParent().toUri().toString();
            CheckpointMetadata metadata = Checkpoints.loadCheckpointMetadata(
                    new DataInputStream(new ByteArrayInputStream(bytes)), SavepointFacts.class.getClassLoader(), folder);
            // After the magic number, which the loader checks.
            System.out.println(json(metadata, ByteBuffer.wrap(bytes).getInt(4)));
        }
    }

    static String json(CheckpointMetadata metadata, int version) throws Exception {
        SortedSet<String> files = new TreeSet<>();
        boolean incremental = walk(metadata.getOperatorStates(), new IdentityHashMap<>(), files);
        StringBuilder text = new StringBuilder("{\"version\":" + version);
        text.append(",\"checkpointId\":").append(metadata.getCheckpointId());
        text.append(",\"type\":").append(type(metadata, incremental));
        text.append(",\"masterStates\":[");
        String comma = "";
        for (MasterState state : metadata.getMasterStates()) {
            text.append(comma).append(quoted(state.name()));
            comma = ",";
        }
        text.append("],\"operators\":[");
        comma = "";
        for (OperatorState operator : metadata.getOperatorStates()) {
            text.append(comma).append(json(operator));
            comma = ",";
        }
        return text.append("],\"files\":[").append(String.join(",", files)).append("]}").toString();
    }

    static String quoted(String text) {
        return "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"") + "\"";
    }

    /** {@code null} in files of releases that do not say it. */
    static String type(CheckpointMetadata metadata, boolean incremental) {
        try {
            Object properties = CheckpointMetadata.class.getMethod("getCheckpointProperties").invoke(metadata);
            if (!(boolean) properties.getClass().getMethod("isSavepoint").invoke(properties)) {
                return incremental ? "\"incremental-checkpoint\"" : "\"full-checkpoint\"";
            }
            Object type = properties.getClass().getMethod("getCheckpointType").invoke(properties);
            Object format = type.getClass().getMethod("getFormatType").invoke(type);
            return "\"" + format.toString().toLowerCase() + "-savepoint\"";
        } catch (ReflectiveOperationException | NullPointerException none) {
            return "null";
        }
    }

    /** Collects the files of all handles below an object, as JSON, and says whether some of them are incremental. */
    static boolean walk(Object at, IdentityHashMap<Object, Object> seen, Set<String> files) throws Exception {
        if (at == null || seen.put(at, at) != null) {
            return false;
        }
        if (at instanceof RelativeFileStateHandle) {
            files.add("{\"path\":" + quoted(((RelativeFileStateHandle) at).getRelativePath()) + ",\"relative\":true}");
            return false;
        }
        String name = at.getClass().getName();
        if (at instanceof FileStateHandle || name.endsWith(".SegmentFileStateHandle")) {
            Object path = at.getClass().getMethod("getFilePath").invoke(at);
            files.add("{\"path\":" + quoted(path.toString()) + ",\"relative\":false}");
            return false;
        }
        boolean incremental = name.contains(".Incremental") || name.contains(".Changelog");
        if (at instanceof Map) {
            incremental |= walk(((Map<?, ?>) at).values(), seen, files);
        } else if (at instanceof Iterable) {
            for (Object one : (Iterable<?>) at) {
                incremental |= walk(one, seen, files);
            }
        } else if (at instanceof Optional) {
            incremental |= walk(((Optional<?>) at).orElse(null), seen, files);
        } else if (name.startsWith("org.apache.flink.") && !(at instanceof Enum)) {
            for (Class<?> type = at.getClass(); type != Object.class; type = type.getSuperclass()) {
                for (Field field : type.getDeclaredFields()) {
                    if (!Modifier.isStatic(field.getModifiers()) && !field.getType().isPrimitive()) {
                        field.setAccessible(true);
                        incremental |= walk(field.get(at), seen, files);
                    }
                }
            }
        }
        return incremental;
    }

    static String json(OperatorState operator) throws Exception {
        long keyed = 0;
        long partitioned = 0;
        long inFlight = 0;
        int subtasks = 0;
        boolean all = is(operator, "isFullyFinished");
        int finished = all ? operator.getParallelism() : 0;
        SortedSet<String> states = new TreeSet<>();
        for (OperatorSubtaskState subtask : operator.getStates()) {
            if (is(subtask, "isFinished")) {
                finished += all ? 0 : 1;
                continue;
            }
            subtasks++;
            keyed += size(subtask.getManagedKeyedState()) + size(subtask.getRawKeyedState());
            partitioned += size(subtask.getManagedOperatorState()) + size(subtask.getRawOperatorState());
            inFlight += size(subtask.getInputChannelState()) + size(subtask.getResultSubpartitionState());
            for (OperatorStateHandle handle : subtask.getManagedOperatorState()) {
                states.addAll(handle.getStateNameToPartitionOffsets().keySet());
            }
            for (OperatorStateHandle handle : subtask.getRawOperatorState()) {
                states.addAll(handle.getStateNameToPartitionOffsets().keySet());
            }
        }
        long coordinator = operator.getCoordinatorState() == null ? 0 : operator.getCoordinatorState().getStateSize();
        return "{\"id\":\"" + operator.getOperatorID() + "\",\"uid\":" + named(operator, "getOperatorUid")
                + ",\"name\":" + named(operator, "getOperatorName")
                + ",\"parallelism\":" + operator.getParallelism()
                + ",\"maxParallelism\":" + operator.getMaxParallelism()
                + ",\"subtasks\":" + subtasks + ",\"finished\":" + finished
                + ",\"keyedBytes\":" + keyed + ",\"operatorBytes\":" + partitioned
                + ",\"inFlightBytes\":" + inFlight + ",\"coordinatorBytes\":" + coordinator
                + ",\"states\":[" + (states.isEmpty() ? "" : "\"" + String.join("\",\"", states) + "\"") + "]}";
    }

    /** Releases before 1.14 have no finished tasks. */
    static boolean is(Object at, String getter) throws Exception {
        try {
            return (boolean) at.getClass().getMethod(getter).invoke(at);
        } catch (NoSuchMethodException older) {
            return false;
        }
    }

    static long size(StateObjectCollection<?> states) {
        return states.getStateSize();
    }

    /** Releases before 2.1 know neither names nor uids here. */
    static String named(OperatorState operator, String getter) throws Exception {
        try {
            Method method = OperatorState.class.getMethod(getter);
            Optional<?> value = (Optional<?>) method.invoke(operator);
            return value.map(text -> "\"" + text + "\"").orElse("null");
        } catch (NoSuchMethodException older) {
            return "null";
        }
    }
}

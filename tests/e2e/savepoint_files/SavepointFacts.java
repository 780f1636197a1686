import java.io.DataInputStream;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeSet;
import org.apache.flink.runtime.checkpoint.Checkpoints;
import org.apache.flink.runtime.checkpoint.OperatorState;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.checkpoint.StateObjectCollection;
import org.apache.flink.runtime.checkpoint.metadata.CheckpointMetadata;
import org.apache.flink.runtime.state.OperatorStateHandle;

/** What Flink's own loader reads from files {@code _metadata}: a line of JSON for each, in the words of {@code savepoint inspect}. */
final class SavepointFacts {
    public static void main(String[] files) throws Exception {
        for (String file : files) {
            try (DataInputStream in = new DataInputStream(Files.newInputStream(Path.of(file)))) {
                String folder = Path.of(file).getParent().toUri().toString();
                System.out.println(json(Checkpoints.loadCheckpointMetadata(
                        in, SavepointFacts.class.getClassLoader(), folder)));
            }
        }
    }

    static String json(CheckpointMetadata metadata) throws Exception {
        StringBuilder text = new StringBuilder("{\"checkpointId\":" + metadata.getCheckpointId());
        text.append(",\"savepoint\":").append(savepoint(metadata)).append(",\"operators\":[");
        String comma = "";
        for (OperatorState operator : metadata.getOperatorStates()) {
            text.append(comma).append(json(operator));
            comma = ",";
        }
        return text.append("]}").toString();
    }

    /** {@code null} in files of releases that do not say it. */
    static String savepoint(CheckpointMetadata metadata) {
        try {
            Object properties = CheckpointMetadata.class.getMethod("getCheckpointProperties").invoke(metadata);
            return String.valueOf(properties.getClass().getMethod("isSavepoint").invoke(properties));
        } catch (ReflectiveOperationException | NullPointerException none) {
            return "null";
        }
    }

    static String json(OperatorState operator) throws Exception {
        long keyed = 0;
        long partitioned = 0;
        long inFlight = 0;
        int subtasks = 0;
        int finished = operator.isFullyFinished() ? operator.getParallelism() : 0;
        SortedSet<String> states = new TreeSet<>();
        for (OperatorSubtaskState subtask : operator.getStates()) {
            if (subtask.isFinished()) {
                finished += operator.isFullyFinished() ? 0 : 1;
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

package org.kubectlflink.jobs;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/**
 * A source of the numbers 0, 1, 2, … at a steady rate, which continues where the savepoint left it.
 *
 * <p>It is meant for a parallelism of one: then its task neither idles nor finishes when the rest of the job is
 * rescaled. Flink's own generators either end a subtask that has no split or differ between the releases.
 */
final class Ticker implements Source<Long, Ticker.Position, Boolean> {
    private static final long serialVersionUID = 1L;

    private final long perSecond;
    private final long end;

    /** Ticks {@code perSecond} times a second and finishes before the number {@code end}. */
    Ticker(long perSecond, long end) {
        this.perSecond = perSecond;
        this.end = end;
    }

    @Override
    public Boundedness getBoundedness() {
        return Boundedness.CONTINUOUS_UNBOUNDED;
    }

    @Override
    public SourceReader<Long, Position> createReader(SourceReaderContext context) {
        return new Reader(perSecond, end);
    }

    @Override
    public SplitEnumerator<Position, Boolean> createEnumerator(SplitEnumeratorContext<Position> context) {
        return new Enumerator(context, false);
    }

    @Override
    public SplitEnumerator<Position, Boolean> restoreEnumerator(
            SplitEnumeratorContext<Position> context, Boolean handedOut) {
        return new Enumerator(context, handedOut);
    }

    @Override
    public SimpleVersionedSerializer<Position> getSplitSerializer() {
        return new PositionSerializer();
    }

    @Override
    public SimpleVersionedSerializer<Boolean> getEnumeratorCheckpointSerializer() {
        return new FlagSerializer();
    }

    /** The one split: the next number. */
    static final class Position implements SourceSplit {
        final long next;

        Position(long next) {
            this.next = next;
        }

        @Override
        public String splitId() {
            return "ticks";
        }
    }

    /** Hands the one split to the one reader, once in the job's life. */
    private static final class Enumerator implements SplitEnumerator<Position, Boolean> {
        private final SplitEnumeratorContext<Position> context;
        private final List<Position> returned = new ArrayList<>();
        private boolean handedOut;

        Enumerator(SplitEnumeratorContext<Position> context, boolean handedOut) {
            this.context = context;
            this.handedOut = handedOut;
        }

        @Override
        public void start() {}

        @Override
        public void addReader(int subtask) {
            if (!handedOut) {
                returned.add(new Position(0));
                handedOut = true;
            }
            for (Position position : returned) {
                context.assignSplit(position, subtask);
            }
            returned.clear();
        }

        @Override
        public void addSplitsBack(List<Position> positions, int subtask) {
            returned.addAll(positions);
        }

        @Override
        public void handleSplitRequest(int subtask, String host) {}

        @Override
        public Boolean snapshotState(long checkpoint) {
            // A split that came back and was not handed out again is the number it began with: at most the start.
            return handedOut && returned.isEmpty();
        }

        @Override
        public void close() {}
    }

    private static final class Reader implements SourceReader<Long, Position> {
        private final long perSecond;
        private final long end;
        private boolean started;
        private long next;
        private long firstNumber;
        private long firstTime;
        private CompletableFuture<Void> available = new CompletableFuture<>();

        Reader(long perSecond, long end) {
            this.perSecond = perSecond;
            this.end = end;
        }

        @Override
        public void start() {}

        @Override
        public void addSplits(List<Position> positions) {
            next = positions.get(0).next;
            firstNumber = next;
            firstTime = System.nanoTime();
            started = true;
            available.complete(null);
        }

        @Override
        public InputStatus pollNext(ReaderOutput<Long> output) {
            if (!started) {
                return InputStatus.NOTHING_AVAILABLE;
            }
            if (next >= end) {
                return InputStatus.END_OF_INPUT;
            }
            long wait = dueIn();
            if (wait > 0) {
                available = new CompletableFuture<>();
                CompletableFuture<Void> waiting = available;
                CompletableFuture.delayedExecutor(wait, TimeUnit.NANOSECONDS).execute(() -> waiting.complete(null));
                return InputStatus.NOTHING_AVAILABLE;
            }
            output.collect(next);
            next++;
            return InputStatus.MORE_AVAILABLE;
        }

        /** Nanoseconds until the next number is due. */
        private long dueIn() {
            double due = (next - firstNumber) * (1e9 / perSecond);
            return (long) due - (System.nanoTime() - firstTime);
        }

        @Override
        public CompletableFuture<Void> isAvailable() {
            return available;
        }

        @Override
        public List<Position> snapshotState(long checkpoint) {
            return started ? Collections.singletonList(new Position(next)) : Collections.emptyList();
        }

        @Override
        public void notifyNoMoreSplits() {}

        @Override
        public void close() {}
    }

    private static final class PositionSerializer implements SimpleVersionedSerializer<Position> {
        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(Position position) {
            return ByteBuffer.allocate(Long.BYTES).putLong(position.next).array();
        }

        @Override
        public Position deserialize(int version, byte[] bytes) {
            return new Position(ByteBuffer.wrap(bytes).getLong());
        }
    }

    private static final class FlagSerializer implements SimpleVersionedSerializer<Boolean> {
        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(Boolean flag) {
            return new byte[] {(byte) (flag ? 1 : 0)};
        }

        @Override
        public Boolean deserialize(int version, byte[] bytes) {
            return bytes[0] == 1;
        }
    }
}

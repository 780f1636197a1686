package org.kubectlflink.jobs;

import java.util.Arrays;
import java.util.List;
import org.apache.flink.api.common.functions.RichFlatMapFunction;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeutils.base.ListSerializer;
import org.apache.flink.api.common.typeutils.base.LongSerializer;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.util.Collector;

/**
 * Counts all records of the job, at a parallelism of one.
 *
 * <p>Its metric {@code count} is that number, its metric {@code keyed} the sum of what the keys say they have
 * counted. Both come from state and are there as soon as the task is restored. They are equal as long as no
 * state was lost, neither the keyed nor this one.
 */
final class Total extends RichFlatMapFunction<Tuple2<Integer, Long>, Long> implements CheckpointedFunction {
    private static final long serialVersionUID = 1L;

    private final int keys;
    private final long failAfter;
    private final long snapshotSeconds;

    private transient ListState<List<Long>> state;
    private transient volatile long count;
    private transient volatile long[] perKey;

    Total(int keys, long failAfter, long snapshotSeconds) {
        this.keys = keys;
        this.failAfter = failAfter;
        this.snapshotSeconds = snapshotSeconds;
    }

    @Override
    public void flatMap(Tuple2<Integer, Long> record, Collector<Long> out) {
        perKey[record.f0] = record.f1;
        count++;
        if (count >= failAfter) {
            throw new IllegalStateException("failed on purpose at record " + count);
        }
    }

    @Override
    public void snapshotState(FunctionSnapshotContext context) throws Exception {
        Thread.sleep(snapshotSeconds * 1000);
        Long[] all = new Long[keys + 1];
        all[0] = count;
        for (int key = 0; key < keys; key++) {
            all[key + 1] = perKey[key];
        }
        state.update(List.of(Arrays.asList(all)));
    }

    @Override
    public void initializeState(FunctionInitializationContext context) throws Exception {
        state = context.getOperatorStateStore().getListState(descriptor());
        perKey = new long[keys];
        // With another parallelism there are the lists of several, or none.
        for (List<Long> all : state.get()) {
            count += all.get(0);
            for (int key = 0; key < keys; key++) {
                perKey[key] = Math.max(perKey[key], all.get(key + 1));
            }
        }
        System.out.println((context.isRestored() ? "RESTORED " : "STARTED ") + count);
        getRuntimeContext().getMetricGroup().gauge("count", (Gauge<Long>) () -> count);
        getRuntimeContext().getMetricGroup().gauge("keyed", (Gauge<Long>) () -> Arrays.stream(perKey).sum());
    }

    private static ListStateDescriptor<List<Long>> descriptor() {
        return new ListStateDescriptor<>("total", new ListSerializer<>(LongSerializer.INSTANCE));
    }
}

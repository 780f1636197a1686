package org.kubectlflink.jobs;

import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** Counts the records of each key and passes on (key, count): the part of the job's state that is rescaled. */
final class CountPerKey extends KeyedProcessFunction<Integer, Long, Tuple2<Integer, Long>> {
    private static final long serialVersionUID = 1L;

    // Made at the first record: the signature of open() differs between Flink 1 and 2.
    private transient ValueState<Long> count;

    @Override
    public void processElement(Long number, Context context, Collector<Tuple2<Integer, Long>> out) throws Exception {
        if (count == null) {
            count = getRuntimeContext().getState(new ValueStateDescriptor<>("count", Long.class));
        }
        Long before = count.value();
        long now = before == null ? 1 : before + 1;
        count.update(now);
        out.collect(Tuple2.of(context.getCurrentKey(), now));
    }
}

package org.kubectlflink.jobs;

import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/**
 * A job that cannot be resumed from a savepoint of {@link CountingJob}: its operators have the same uids, but the
 * state of the keys is text. It runs well when started empty.
 */
public final class IncompatibleJob {
    private IncompatibleJob() {}

    public static void main(String[] args) throws Exception {
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment();
        environment.setMaxParallelism(CountingJob.MAX_PARALLELISM);
        CountingJob.numbers(environment, args)
                .keyBy(number -> (int) (number % CountingJob.KEYS), Types.INT)
                .process(new TextPerKey())
                .returns(Types.STRING)
                .name("keys")
                .uid("keys")
                .map(text -> (long) text.length())
                .returns(Types.LONG)
                .setParallelism(1)
                .disableChaining()
                .name("total")
                .uid("total");
        environment.execute("incompatible");
    }

    private static final class TextPerKey extends KeyedProcessFunction<Integer, Long, String> {
        private static final long serialVersionUID = 1L;

        private transient ValueState<String> last;

        @Override
        public void processElement(Long number, Context context, Collector<String> out) throws Exception {
            if (last == null) {
                last = getRuntimeContext().getState(new ValueStateDescriptor<>("count", String.class));
            }
            last.update(number.toString());
            out.collect(last.value());
        }
    }
}

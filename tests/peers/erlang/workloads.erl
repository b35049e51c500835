%% The workloads in Erlang, told apart by the first argument; the rest are the sizes. Prints one line for each
%% number: its metric and its value.
-module(workloads).
-export([main/1]).

main([Workload | Sizes]) ->
    measure(Workload, [list_to_integer(S) || S <- Sizes]),
    halt(0).

now_ns() -> erlang:monotonic_time(nanosecond).

tell(Metric, Value) -> io:format("~s ~.3f~n", [Metric, float(Value)]).

rate(Metric, Count, Began) -> tell(Metric, Count * 1000 / (now_ns() - Began)).

sink(Sum) ->
    receive
        {add, Value} -> sink(Sum + Value);
        {ask, From, Ref, Value} -> From ! {Ref, Value + 1}, sink(Sum);
        {total, From, Ref} -> From ! {Ref, Sum}, sink(Sum)
    end.

start() -> spawn(fun() -> sink(0) end).

ask(Sink, Value) ->
    Ref = make_ref(),
    Sink ! {ask, self(), Ref, Value},
    receive {Ref, Answer} -> Answer after 5000 -> exit(late) end.

total(Sink) ->
    Ref = make_ref(),
    Sink ! {total, self(), Ref},
    receive {Ref, Sum} -> Sum end.

send(_, Count, Count) -> ok;
send(Sink, Value, Count) -> Sink ! {add, Value}, send(Sink, Value + 1, Count).

ask_all(_, Count, Count) -> ok;
ask_all(Sink, Value, Count) -> true = ask(Sink, Value) =:= Value + 1, ask_all(Sink, Value + 1, Count).

sum_below(N) -> N * (N - 1) div 2.

%% Runs a function in so many processes at once and waits for all.
together(Count, Function) ->
    Me = self(),
    [spawn_link(fun() -> Function(), Me ! ended end) || _ <- lists:seq(1, Count)],
    [receive ended -> ok end || _ <- lists:seq(1, Count)].

measure("tell", [Count]) ->
    Sink = start(),
    Began = now_ns(),
    together(1, fun() -> send(Sink, 0, Count) end),
    true = total(Sink) =:= sum_below(Count),
    rate("tell", Count, Began);
measure("fan-in", [Senders, Each]) ->
    Sink = start(),
    Began = now_ns(),
    together(Senders, fun() -> send(Sink, 0, Each) end),
    true = total(Sink) =:= Senders * sum_below(Each),
    rate("fan-in", Senders * Each, Began);
measure("ping-pong", [Calls]) ->
    Began = now_ns(),
    together(2, fun() -> ask_all(start(), 0, Calls) end),
    rate("ping-pong", 4 * Calls, Began);
measure("ask", [Calls]) ->
    Sink = start(),
    Times = lists:sort([begin T = now_ns(), ask(Sink, V), now_ns() - T end || V <- lists:seq(1, Calls)]),
    tell("ask-median", lists:nth(Calls div 2 + 1, Times)),
    tell("ask-p99", lists:nth(Calls * 99 div 100 + 1, Times));
measure("ask64", [Callers, Each]) ->
    Sink = start(),
    Began = now_ns(),
    together(Callers, fun() -> ask_all(Sink, 0, Each) end),
    rate("ask64", Callers * Each, Began);
measure("spawn", [Count]) ->
    Before = erlang:memory(total),
    Began = now_ns(),
    Sinks = [begin Sink = start(), true = ask(Sink, 1) =:= 2, Sink end || _ <- lists:seq(1, Count)],
    rate("spawn", Count, Began),
    timer:sleep(300),
    tell("idle-bytes", (erlang:memory(total) - Before) / length(Sinks));
measure("skynet", [Leaves]) ->
    Me = self(),
    Began = now_ns(),
    spawn(fun() -> grow(Me, 0, Leaves) end),
    Expected = sum_below(Leaves),
    receive Expected -> tell("skynet", (now_ns() - Began) / 1.0e6) end.

grow(Parent, First, 1) -> Parent ! First;
grow(Parent, First, Leaves) ->
    Me = self(),
    Below = Leaves div 10,
    [spawn(fun() -> grow(Me, First + Child * Below, Below) end) || Child <- lists:seq(0, 9)],
    Parent ! gather(10, 0).

gather(0, Sum) -> Sum;
gather(Missing, Sum) -> receive Below -> gather(Missing - 1, Sum + Below) end.

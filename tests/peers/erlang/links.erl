%% Two nodes on loopback: one has the receivers, one does a workload to them and prints one line for each number: its
%% metric and its value. Bodies are binaries.
-module(links).
-export([serve/0, send/1]).

%% The node with the receivers, until its standard input ends.
serve() ->
    register(receivers, spawn(fun give/0)),
    io:format("~s~n", [node()]),
    eof = io:get_line(""),
    halt(0).

%% Makes receivers for whoever wants some.
give() ->
    receive {make, Count, From, Ref} -> From ! {Ref, [spawn(fun() -> sink(0) end) || _ <- lists:seq(1, Count)]} end,
    give().

%% Counts the bytes that were put since it was last asked.
sink(Bytes) ->
    receive
        {put, Body} -> sink(Bytes + byte_size(Body));
        {ask, From, Ref, Body} -> From ! {Ref, Body}, sink(Bytes);
        {total, From, Ref} -> From ! {Ref, Bytes}, sink(0)
    end.

send([Workload, Count, Size]) ->
    Receiver = 'receiver@127.0.0.1',
    true = net_kernel:connect_node(Receiver),
    measure(Workload, Receiver, list_to_integer(Count), binary:copy(<<"x">>, list_to_integer(Size))),
    halt(0).

call(To, Request) ->
    Ref = make_ref(),
    To ! Request(Ref),
    receive {Ref, Answer} -> Answer after 60000 -> exit(late) end.

sinks(Node, Count) -> call({receivers, Node}, fun(Ref) -> {make, Count, self(), Ref} end).

ask(Sink, Body) ->
    Ref = make_ref(),
    Sink ! {ask, self(), Ref, Body},
    receive {Ref, Answer} -> Answer after 5000 -> exit(late) end.

total(Sink) -> call(Sink, fun(Ref) -> {total, self(), Ref} end).

now_ns() -> erlang:monotonic_time(nanosecond).

tell(Metric, Value) -> io:format("~s ~.3f~n", [Metric, float(Value)]).

%% A tenth to warm up, then all.
passes(Count) -> [(Count + 9) div 10, Count].

measure("cast", Node, Count, Body) -> cast("cast", sinks(Node, 1), Count, Body);
measure("cast1k", Node, Count, Body) -> cast("cast1k", sinks(Node, 1), Count, Body);
measure("cast-many", Node, Count, Body) -> cast("cast-many", sinks(Node, 100), Count, Body);
measure("ask", Node, Count, Body) ->
    [Sink] = sinks(Node, 1),
    [_, Times] = [lists:sort(ask_all(Sink, Body, C)) || C <- passes(Count)],
    tell("link-ask-median", lists:nth(Count div 2 + 1, Times) / 1000),
    tell("link-ask-p99", lists:nth(Count * 99 div 100 + 1, Times) / 1000);
measure("ask64", Node, Count, Body) ->
    [Sink] = sinks(Node, 1),
    [_, Rate] = [ask_together(Sink, Body, 64, C div 64) || C <- passes(Count)],
    tell("link-ask64", Rate * 1000).

%% In M/s.
rate(Count, Began) -> Count * 1000 / (now_ns() - Began).

cast(Metric, Sinks, Count, Body) ->
    [_, Rate] = [cast_all(Sinks, C, Body) || C <- passes(Count)],
    tell(Metric, Rate).

cast_all(Sinks, Count, Body) ->
    Began = now_ns(),
    put_all(Sinks, Sinks, Count, Body),
    true = lists:sum([total(Sink) || Sink <- Sinks]) =:= Count * byte_size(Body),
    rate(Count, Began).

put_all(_, _, 0, _) -> ok;
put_all([], All, Count, Body) -> put_all(All, All, Count, Body);
put_all([Sink | Next], All, Count, Body) -> Sink ! {put, Body}, put_all(Next, All, Count - 1, Body).

ask_all(Sink, Body, Count) ->
    [begin Began = now_ns(), Body = ask(Sink, Body), now_ns() - Began end || _ <- lists:seq(1, Count)].

ask_together(Sink, Body, Callers, Each) ->
    Me = self(),
    Began = now_ns(),
    [spawn_link(fun() -> ask_all(Sink, Body, Each), Me ! ended end) || _ <- lists:seq(1, Callers)],
    [receive ended -> ok end || _ <- lists:seq(1, Callers)],
    rate(Callers * Each, Began).

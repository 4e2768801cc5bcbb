// Package router picks the instance to call: client-side load balancing with
// labels, rules, zones, ejection, breakers and limits.
//
//	ro, err := router.New(router.WithDiscovery(d))
//	pick, err := ro.Pick(ctx, "greeter")
//	… call pick.Instance.Address …
//	pick.Done(router.Outcome{Class: router.OK, Latency: took})
//
// It is no proxy and sees no connection: the caller connects, and Done says how
// it went, which is all that the router learns from. Package wrapper does both
// for every call of its client.
//
//	discovery ─▶ instances ─▶ rule, labels ─▶ zone ─▶ health, breakers ─▶ strategy ─▶ Pick
//	                                                    ▲                   ▲           │
//	                                                    └──── what Done said, and others ◀┘
//
// # Backends
//
// Instances come from any discovery.Discovery. Rules are given by WithRules, or
// live from a configuration by package router/config. Nothing else is needed;
// packages router/kv and router/event carry what clients share (WithSharing),
// and router/kv a quota over all processes.
//
// # Semantics
//
// Strategies: LeastCost, the default, takes the best of twelve by latency, calls
// in flight and failures; those that differ by no more than chance take turns,
// by weight, so that equal instances get equal work. PowerOfTwo, LeastLoaded,
// Hash, Prequal, RoundRobin, WeightedRoundRobin and Random are others, and a
// Strategy may be your own.
//
// Health: an instance that fails, or is much slower than its peers, is ejected
// for a while, never too many at once. When fewer than half of the instances
// that fit are healthy, health is ignored, and Pick.Panic says so. New
// instances are ramped up gradually. Instances that are draining, or that have
// expired in the registry while most have not, are called only if no other can
// be. WithBreakers adds circuit breakers, WithEjection, WithPanic and
// WithSlowStart change the rest.
//
// One Class says for all of them how a call went. The caller's faults,
// deadlines and cancelled calls never count against an instance.
//
// A service that nobody has asked for in ten minutes is forgotten, one without
// instances after ten seconds; of those, 256 are followed at the most.
//
// Labels of a call must all be those of the instance; a Rule can give shares of
// the calls to versions or labels, sticky by a Key. Explain tells how a choice
// would be made, and why an instance can't be chosen.
//
// What other clients report, or lie, moves weights within bounds and fades;
// it adds and removes no instance, and no call waits for it.
//
// A Breaker also works by itself, as do the limiters of package router/limits.
//
// # Errors
//
// ErrNoInstances if nothing is known of a service, *NoMatchError if rules and
// labels left nothing, ErrExhausted when all were given, *OpenError from
// breakers: all are ErrUnavailable, nothing was sent. Limiters return
// ErrLimited.
//
// # Closing
//
// Close stops what runs in the background and publishes a last report. The
// Discovery and the Exchange stay open. Picks that are open may still be Done.
package router

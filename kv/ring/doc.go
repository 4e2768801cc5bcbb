// Package ring is the kv backend that needs no server: the items live in the
// memory of a service's own instances, which find each other by discovery and
// talk over the port that the service has anyway.
//
//	node, err := ring.New(d, "greeter", "greeter-1", ring.WithKey(secret))
//	mux.Handle("/.ring", node)                // on the instance's own server
//	d.Register(ctx, discovery.Instance{Service: "greeter", ID: "greeter-1", Address: addr})
//	store, err := kv.New(ring.Backend(node))
//
// On the port of a gRPC server it listens with the server instead, by
// node.Listener. In a program of package platform one option does it all:
// platform.WithRing(ring.Member(ring.WithKey(secret))).
//
// # Backends
//
// The keys are cut into 4096 partitions. Who owns a partition is a function of
// the set of registered instances alone, so no node has to hand out tables;
// one that joins takes its share from all others, and nothing moves between
// them. A key has two owners (WithReplicas), of which the first is its primary.
//
//	Put on node A             node B, primary              node C, replica
//	  key → partition → B
//	  ── write ─────────────▶ all in reach agree about the
//	                          owners? one write of the
//	                          partition at a time: reads
//	                          what it has, decides the
//	                          condition, gives a version
//	                          ── apply ──────────────────▶ the same owners?
//	                                                       knows nothing newer?
//	                          ◀─────────────────── taken ─ applies
//	                          owners unchanged? applies
//	  ◀── version ───────────
//	Get on node C, an owner: from its own memory; what it lacks it asks B for
//	Get on node A, no owner
//	  ── get ───────────────▶ answers from memory
//	  ── get, if B does not answer in time ──────────────▶ answers from memory
//
// Between two nodes there is a connection each way: an HTTP/1.1 Upgrade on the
// service's port, then frames with numbers, so that any number of requests are
// on the way at once, and what is sent at the same time goes together. A node
// that serves a peer waits for other peers only to ask them what they answer
// from memory, so nodes never wait in a circle.
//
// Both sides of a connection show that they know the key of WithKey before
// anything is served. The key does not hide what is sent: use WithTLS, and a
// server that asks for certificates, where the network is not trusted.
//
// # Semantics
//
// What is acknowledged is in the memory of all owners: with two of them, one
// node may be lost at a time, and the next one when the first is back and Settled.
// So a restart of one node after the other loses nothing, and brings back nothing
// that was deleted, if each is drained before it stops (Drained), or Settled before
// the next one stops without a word. The items are gone when all nodes stop, and are
// evicted when the bound of bytes is reached (WithMaxBytes). There is no List
// and no Watch.
//
// A node that gets new partitions compares with all others, and until it has
// all of them it asks the others for the keys that it is asked for: reads do
// not fail meanwhile. Nodes compare every 30 s too. Among
// versions of a key the highest stays; a version is the time of the write, by a
// clock that never goes back behind what it has seen (a hybrid logical clock).
//
// A peer that is out of reach for longer than WithDetection, of this node and of
// all that it reaches, is left out, if most registered nodes remain. If only the
// way between two nodes is broken they stay members: what both own can't be
// written, nor can either write what the other is primary of. When one of them loses
// another connection too, what it is primary of can't be written until the way is
// back. A minority keeps counting on the others: for half the life of tombstones
// (WithTombstones) it reads, perhaps old values, but it cannot write what others
// own too.
//
// Deletes are remembered (WithTombstones), and so is the end of an item that
// replaced a longer-lived one. A node that was stopped, or lost its
// connections, asks the others before it answers. One that was unavailable for too
// long drops what it had, so that it brings no deleted key back, unless most nodes
// were cut off from each other for as long: then nobody can have deleted it.
// A node also hears of deletes of what it keeps and no longer owns. One that
// reaches most nodes, but for that long none that knows of the delete, may bring such
// a key back.
//
// The registry may be cut too, and show a node only the smaller part of those that
// it knew. That part goes on by itself. When such a node meets the others after too
// long, it drops what it had from before and keeps what it wrote since. If all the others
// were restarted just before, they do not know what was deleted, and it may come back.
//
// What was evicted is not remembered: a node that was unavailable while an item was
// replaced, and then evicted everywhere, may bring back what it was before.
//
// Conditions and counters are exact while the members do not change: the
// replicas have to agree. If the registry shows two sets of members to two
// sides of a cut, each side may go on, and of two writes the later one stays. A
// delete on one side ends an earlier write on the other only while it is remembered.
// So the store is not linearizable, and package sync does not stand on it. Ends
// of lives are as exact as the machines' clocks agree.
//
// # Errors
//
// As in package kv. While owners are out of reach or disagree a call is tried
// again until its context ends, then it is ErrUnavailable. A write that was on
// its way when a connection broke is ErrUnknownOutcome, and not sent again.
//
// # Closing
//
// Close of a store leaves the node open. Close of the node cuts its
// connections and forgets its items. With WithReplicas(1) set the instance to
// Draining first and wait for Drained, so that others have them.
package ring

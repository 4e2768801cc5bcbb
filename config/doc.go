// Package config gives a program its configuration: layers from several
// sources, merged, checked, and swapped as a whole whenever one of them
// changes.
//
//	cfg, err := config.New(
//		config.WithSource(file.Source("app.yaml", file.WithFormat(yaml.Format{}))),
//		config.WithSource(consul.Source("127.0.0.1:8500", "config/orders")),
//		config.WithSource(config.Env("APP")),
//	)
//	addr := cfg.Get("server.addr").String(":8080")
//	db, err := config.Bind[Database](cfg, "db") // db.Load() is one atomic read
//
// Later sources win over earlier ones. What happens on a change:
//
//	file ──┐
//	consul ┼─ parse ─ merge ─ validate ─ prepare ─ swap ─ notify
//	env ───┘            │         │         │
//	                    └─────────┴─────────┴── anything wrong: the running
//	                                            snapshot stays, Health says why
//
// # Backends
//
// A [Source] is where a layer comes from. [MemorySource], [Env] and [Flags] are here;
// config/file, config/url, config/consul, config/etcd and config/kv hold the
// others, and config/store is a versioned store of configuration documents
// that is a source too. JSON is built in; config/yaml and config/toml are
// formats that a source takes as an option. Anyone can write a source with
// driver.go and configtest alone.
//
// # Semantics
//
// Documents are trees of objects, arrays, strings, numbers, booleans. Keys are
// case-sensitive. A path names a value by its keys with dots between:
// "server.addr"; [Path] builds one from keys that hold dots.
//
// Layers merge as RFC 7396 says: objects deeply, anything else replaces, null
// deletes what lower layers said. Every change rebuilds the whole from the
// newest content of every source, so a deletion is seen.
//
// With [WithResolver], "${file:db}" in a string stands for a secret that is
// kept elsewhere. It is put in after the merge, shown by no output, and follows
// a rotation.
//
// A [Snapshot] never changes. Get, and Load of a [Binding] or a [Variable], are
// reads of memory: they never block, also while a source is down.
//
// Change reaches a program in three ways. Subscribers ([Config.Subscribe],
// under [Bind] and [Var]) are asked before the swap and may veto; validators
// ([WithValidator]) see the whole snapshot before that; watchers
// ([Config.Watch]) are told after it. A slow watcher skips values in between
// and never misses the newest.
//
// # Errors
//
// New fails when a required source can't be read, unless a last-known-good file
// ([WithLastKnownGood]) helps out. Later, errors never touch the running
// values: they stand in [Health], which also says since when. A getter whose
// value has another type returns its default, logs that once and lists it in
// Health; [Value.Scan] and [Bind] return errors with path, source, line and
// the type that was expected.
//
// # Closing
//
// Close stops following the sources, ends watches with ErrClosed and waits for
// both. The last snapshot and all bindings stay readable.
package config

// Package cache stands between a program and a store of package kv: [New] keeps
// in this process what was read (a near cache), [Loader] loads what is not there,
// once however many ask.
//
//	store, err := kv.New(redis.Backend("redis://127.0.0.1:6379"))
//	near, err := cache.New(store, cache.WithFollow("")) // a hit costs no round trip
//	users, err := cache.NewLoader(near, time.Minute, cache.WithStale(time.Minute))
//
// What they return are the errors of package kv.
package cache

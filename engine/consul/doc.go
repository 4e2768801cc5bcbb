// Package consul is the connection to Consul's agents, which the consul backends of
// all packages stand on.
//
//	e, err := consul.Open("consuls://:token@10.0.0.1:8501")
//	store, err := kv.New(kvconsul.On(e))
//	registry, err := discovery.New(discoveryconsul.On(e))
//
// # Addresses
//
// "host", "host:port", several agents of one cluster as "a:8500,b:8500", of which
// one that answers is used, or a URL with the scheme consul or http (plain), consuls
// or https (TLS). A password in a URL is the token, unless it has a user too: then
// it is basic authentication. The port is 8500, with TLS 8501.
//
// # Semantics
//
// The client is Consul's own, over one HTTP transport for all backends: at most 32
// connections for calls that are answered at once, and one for each blocking query.
// An agent takes 200 connections from all processes of a host, unless its
// http_max_conns_per_client says otherwise.
//
// # Errors
//
// As in package engine.
//
// # Closing
//
// Close ends idle connections. A client given to FromClient stays as it is.
package consul

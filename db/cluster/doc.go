// Package cluster finds the nodes of a database in discovery, and keeps to
// them while they come, go and fail.
//
//	nodes := cluster.FromDiscovery(d, "orders",
//		cluster.WithBackend("postgres", func(n cluster.Node) db.Option { return sql.Postgres(n.URL("postgres")) }),
//		cluster.WithCredentials(credentials))
//	orders, err := db.New(nodes)
//
// # Semantics
//
// Nodes are the instances of the service "db.orders". Label "driver" says which
// of the backends a node is, and label "role" whether it is the "primary",
// which is the default, or a "replica". Nodes with a driver that
// nobody gave are left alone.
//
//	discovery ── db.orders ─▶ primary ◀── writes, reads
//	                          replica ◀── reads, WithReplicaReads
//
// Everything goes to a primary, unless WithReplicaReads lets reads go to
// replicas, where they may be behind. A node that does not answer, or
// refuses writes, comes last for a second; the call goes on to the next one
// that fits, as long as certainly nothing was done. A transaction stays on
// its node.
//
// Each node has one pool, made on first use, which a change of its role or
// labels leaves alone. When a node leaves, its pool is closed after the calls in
// progress. While the registry is unavailable the last nodes that it named stay.
//
// The registry never holds secrets: WithCredentials asks the program for them.
//
// New needs one node that answers, since Features are what all nodes
// known by then can do; a node that can do less is not used. With WithLazy,
// before any node is known, that is the least that every backend can do.
//
// # Errors
//
// db.ErrUnavailable when no node fits, and says what there was.
//
// # Closing
//
// Close closes the pools. The Discovery stays open.
package cluster

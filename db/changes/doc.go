// Package changes makes every committed write of a database an event.
//
//	e, err := sql.Open("postgres://shop:secret@10.0.0.1/shop") // of package engine/sql
//	box, err := outbox.New(ctx, e)
//	d, err := db.New(dbsql.On(e), changes.ToOutbox(box))
//	go box.Relay(ctx, stream)
//
//	stream.Subscribe(ctx, func(ctx context.Context, r *event.Record) error {
//		c, err := changes.Parse(r)
//		return index(c.Record) // c.Kind, c.Table, c.ID, c.Version
//	}, event.Types("db.orders.*"), event.Group("index"), event.Ordered(event.BySubject))
//
// # Semantics
//
// A record of the type "db.<table>.created", "db.<table>.updated" or
// "db.<table>.deleted" is written into the outbox in the transaction of the
// write, so there is an event for each write that was committed, and for no
// other. The relay publishes them at least once. Those of one record, which is
// the event's Subject "<table>/<id>", come in the order of its versions.
//
// The data is JSON: table, id, version, and the record as it is stored now, or
// was when it was deleted. WithoutRecords leaves the record out. The story that
// the write's context belongs to goes on: see event.ContextWithCause.
//
// # Backends
//
// ToOutbox is for package db/sql on the database that has the outbox. ToStream
// publishes at once, while the write holds its locks: for package db's memory,
// with a stream in memory too. Backends without transactions have no changes.
//
// # Errors
//
// What the outbox or the stream returns is the write's own error, and nothing
// was written.
package changes

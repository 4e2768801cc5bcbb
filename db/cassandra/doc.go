// Package cassandra keeps tables of package db in Apache Cassandra 4 or later.
//
//	d, err := db.New(cassandra.Backend("cassandra://shop:secret@10.0.0.1,10.0.0.2/shop"))
//
// # Backends
//
// A table is two: "orders" has a row for each record, in a partition of its
// own; "orders_keys_" has an entry for each metadata key of a record, sorted by
// key, value and id, in a few partitions for each key. So every key is indexed,
// and Index need not declare any.
//
//	Create, Update   1. entries of the new version   2. the row, IF …   3. no more entries of the old one
//	Search           entries in their order ─▶ rows ─▶ the filter, again
//
// # Semantics
//
// A write is a lightweight transaction on the record's row: of several
// concurrent ones one wins. Those of one process to one record are made one after
// another, since Cassandra gives up those that hinder each other for long. A
// search finds every record that was written before it began: an entry is there
// before its row is, and a row is tested before it is returned, so an entry that a
// failed write left behind does no harm. Searches that meet such an entry a day
// later remove it.
//
// A new record's Version is the time of its creation in microseconds, by the
// writer's clock: versions of an id do not repeat after a delete, as long as the
// writers' clocks differ by less than the record was gone.
//
// There are no transactions over several records, and a Batch is one write
// after another. Or, Not, NotEqual and Contains are ErrUnsupported.
//
// A search follows one index and tests the other filters on what that finds:
//
//   - of the first Equal, or else the first In, page by page by id;
//   - of the key that OrderBy names, page by page, if a filter compares it:
//     Greater("total", 0), or Exists("total");
//   - else of the first key that is compared: all entries in its range, to sort
//     them by id;
//   - without any of those, the ids themselves.
//
// Any other order sorts all that an Equal or an In finds, and is
// ErrUnsupported without one. What a search has to look at for one page is
// bounded by WithScanLimit, beyond which it is ErrTooLarge; so is Count.
//
// # Errors
//
// A write that Cassandra or the network lost track of is looked up with a serial
// read, which ends what the nodes have begun, and made again if it was not applied,
// until ctx ends. db.ErrUnknownOutcome is left where others have written since and
// nothing says whether over this write, and for a deletion where the record is gone.
// A new record that somebody deletes at the moment that its writer looks it up may
// be made again. Too few nodes for the consistency is db.ErrUnavailable. A record
// larger than Cassandra takes (half a segment of its commit log, 16 MiB unless
// configured) is db.ErrTooLarge.
//
// # Closing
//
// Close waits for the calls in progress and closes the connections. A session
// given by WithClient stays open.
package cassandra

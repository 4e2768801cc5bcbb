// Package elastic keeps tables of package db in Elasticsearch (7.10 or later)
// or OpenSearch, over the HTTP API that both have.
//
//	d, err := db.New(elastic.Backend("http://127.0.0.1:9200"))
//	d, err := db.New(elastic.Backend("https://search-1,https://search-2", elastic.WithAPIKey(key)))
//
// # Backends
//
// A table is an index "orders-1" with the alias "orders", so that another index
// can be built beside it and take over the name. Its mapping is strict and the
// same for all tables, whatever keys the records have:
//
//	id, version, created, updated    of the record
//	keys      ["customer","total"]                       to find: has it the key?
//	values    ["08customersann","05totalnc0450…"]        to find: length of the key, key, type, value
//	order     [{"key":"customer","value":"sann"}, …]     to sort
//	metadata, content_type, data                         to read
//
// So every key can be searched by, and Index need not declare any. Terms are
// exact: nothing is analysed, folded or left out for its length. The words of every
// string are terms too, for Match, so FullText declares what is there already.
//
// # Semantics
//
// Reads by id see every write at once. Searches see writes after a refresh;
// WithRefresh says who pays for it. By default a search sees all that its own DB
// wrote before it, and what others wrote up to a second before.
//
// An update is a read of the stored version and a write that holds only if
// nothing came between (if_seq_no); so of concurrent updates one wins. There are
// no transactions: Batch sends bulk requests, in which each write stands alone.
//
// Equal and In are lookups. Less … GreaterOrEqual and Prefix go through the
// values in the range. Contains goes through all values of the key, and Contains
// on FieldID through all ids. An order by a key sorts all that match. A server
// with search.allow_expensive_queries=false refuses all of these but Equal and In.
//
// A new record's Version is the time of its creation in microseconds, by the
// writer's clock: versions of an id do not repeat after a delete, as long as the
// writers' clocks differ by less than the record was gone.
//
// # Errors
//
// A server that is busy (429) is asked again a few times, then it is
// db.ErrUnavailable. A write whose answer was lost is db.ErrUnknownOutcome,
// unless it certainly did not leave. With several addresses a call goes on to
// the next one as long as nothing was done. *Error has the server's own words.
// Credentials are in no error, and redirects, which could carry them off, are
// not followed.
//
// # Closing
//
// Close waits for the calls in progress and closes the connections. Those of a
// client given by WithClient stay open.
package elastic

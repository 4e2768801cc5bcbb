// Package kvinbox handles each record once: it notes the record's ID in a kv
// store, for handlers that have no SQL transaction to note it in, as package
// event/inbox does.
//
//	box, err := kvinbox.New(store, "mail")
//	sub, err := stream.Subscribe(ctx, box.Handler(func(ctx context.Context, r *event.Record) error {
//		return send(ctx, r.Data)
//	}), event.Group("mail"))
//
// # Semantics
//
// The note of a record goes through two states:
//
//	(none) ──▶ claimed ──▶ done ──▶ (none)
//	        begin       nil       WithKeep is over
//
// A claim belongs to one attempt. It is renewed while the function runs, and
// expires after 30 s if the process ends. An error or a panic of the
// function removes it, and the record is handled again. A record that is done
// is not handled: Handler returns nil. A record that another has claimed is
// waited for.
//
// The note and what the function does are not one transaction. A record that was
// handled to the end is not handled again; what happens when a process ends in
// between depends on where:
//
//	before the function has done anything    handled again, after 30 s
//	while the function runs                  handled again: it may have done some of its work
//	after it, and before the note of it      handled again, as if it had not run
//
// When the store does not answer at the end of the function, the note is tried
// until the claim is over; then the last line applies. If a claim can't be
// renewed in time the function's context ends, since another may begin. So a
// function must stand a repetition, which is as rare as crashes: use event/inbox
// where the work is in the same database.
//
// Records are told apart by Source and ID, as CloudEvents says. A repetition
// after WithKeep is handled again.
//
// # Errors
//
// Those of the store and the function, for the subscription to retry. New
// returns ErrUnsupported for a shared store that may evict notes.
//
// # Closing
//
// There is nothing to close. The store stays open.
package kvinbox

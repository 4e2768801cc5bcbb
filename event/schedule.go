package event

import "time"

// Scheduled is a record that is published when it is due.
type Scheduled struct {
	ID         string    // the record's, or the name that Schedule was given
	Due        time.Time // in milliseconds, UTC
	Recurrence string    // of Schedule, as Recurrence.String says it; empty for PublishAt
	Record     *Record   // nil with Err

	// Err: what the backend keeps is no record that this process understands, as
	// one of a newer version or that somebody else has written. It is not published
	// here and does not hold up others; Cancel removes it.
	Err error

	Version string // opaque: another one after the entry was replaced
}

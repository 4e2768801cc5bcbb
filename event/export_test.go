package event

import "time"

// NewMemory is the driver of Memory, for tests that stand between it and the stream.
func NewMemory() Driver { return newMemory(Retention{}) }

// AppendOne publishes in a memory as a stream does that has no journal.
func AppendOne(d Driver, r *Record) error { return d.(*memory).appendOne(r, time.Now()) }

// The interfaces that New looks for, for the test that compares them with those of
// package event/driver.
type (
	Featured  = featured
	Behinder  = behinder
	Trimmer   = trimmer
	Roster    = roster
	Scheduler = scheduler
	Holder    = holder
	Tracker   = tracker
)

package event

// NewMemory is the driver of Memory, for tests that stand between it and the stream.
func NewMemory() Driver { return newMemory(Retention{}) }

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

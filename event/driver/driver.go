package driver

import (
	"context"
	"time"

	"github.com/micro/go-platform/event"
)

// Featured is a driver that says what it can. Without it, Features has only
// the backend's name and what the interfaces of this package say.
type Featured interface{ Features() event.Features }

// Adviser is a driver that can see that its backend is set up so that records may
// be lost. New logs what it says, and goes on.
type Adviser interface {
	Advice(ctx context.Context) string // "" if all is well
}

// Behinder is a driver that can count what is after a position.
type Behinder interface {
	Behind(ctx context.Context, after string) (int64, error)
}

// Trimmer is a driver that can remove old records.
type Trimmer interface {
	// Trim removes the records that are outside of the limits, but none that a
	// group has not been handed and acknowledged, and returns how many. It may
	// leave some more than asked for.
	Trim(ctx context.Context, keep event.Retention) (int64, error)
}

// Roster is a driver that knows who shares the work of a group, which the option
// Partitions needs. What it says is only advice about who should do what: that one
// member at a time does it is the concern of GroupConfig.Exclusive.
type Roster interface {
	// Attend says that a member lives, and returns the names of all members of the
	// group that have said so, each for the ttl that it gave, by the backend's clock
	// if it has one. With a ttl of 0 the member leaves.
	Attend(ctx context.Context, group, consumer string, ttl time.Duration) ([]string, error)
}

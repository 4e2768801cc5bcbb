package driver

import (
	"context"
	"time"

	"github.com/micro/go-platform/event"
)

// Scheduler is a driver that keeps records until they are due, as safe as the
// stream itself. The front asks what is due and publishes it with Fire; several
// processes do so at once, and every Fire counts once.
//
//  1. Entries are told apart by ID. A later one of the same ID takes the place of
//     the former, except that it keeps the former's Due if both have the same
//     Recurrence and that is not empty.
//  2. Due is by the backend's clock where it has one, and is in whole milliseconds.
//  3. Fire appends an entry's record, and moves or removes the entry, both or
//     neither. It does nothing to an entry that is not there with that Due and
//     Version any more: that another has fired, or that was cancelled or replaced,
//     by one of the same Due too.
//  4. An entry that can't be decoded is returned with Err, and others with it.
//  5. The other rules of Driver hold.
type Scheduler interface {
	// Schedule keeps entries, each with its own ID: all or none where
	// Features.Atomic, else from the first on. It refuses what Append refuses.
	Schedule(ctx context.Context, entries []event.Scheduled) error

	// Unschedule removes an entry. ErrNotFound if it isn't there.
	Unschedule(ctx context.Context, id string) error

	// Scheduled lists up to limit entries in the order of Due and then anyhow,
	// from where the next of a former call says, or from the first. next is empty
	// at the end.
	Scheduled(ctx context.Context, from string, limit int) (list []event.Scheduled, next string, err error)

	// Due returns up to limit entries whose time has come, the earliest first.
	Due(ctx context.Context, limit int) (DueNow, error)

	// Fire publishes entries, and returns how many of them this call has
	// published or moved.
	Fire(ctx context.Context, firings []Firing) (int, error)
}

// DueNow is what a Scheduler has to publish. Like Firing it is a type without a
// name of its own, which package event writes down in the same way.
type DueNow = struct {
	Entries []event.Scheduled
	Now     time.Time // by the clock that Due is compared with
	Next    time.Time // without Entries: when the first entry is due; zero if there is none
}

// Firing is an entry whose time has come.
type Firing = struct {
	ID      string
	Due     time.Time
	Version string        // as of Due
	Record  *event.Record // to append; nil: none, only the entry moves
	Next    time.Time     // the entry's new Due; zero: it is removed
}

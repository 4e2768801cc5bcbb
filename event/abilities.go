package event

import (
	"context"
	"time"
)

// What a driver or a member may be able to do besides. Package event/driver has
// these interfaces for authors of backends, with their rules; a test holds the two
// equal.
type (
	featured interface{ Features() Features }

	behinder interface {
		Behind(ctx context.Context, after string) (int64, error)
	}

	trimmer interface {
		Trim(ctx context.Context, keep Retention) (int64, error)
	}

	roster interface {
		Attend(ctx context.Context, group, consumer string, ttl time.Duration) ([]string, error)
	}

	scheduler interface {
		Schedule(ctx context.Context, entries []Scheduled) error
		Unschedule(ctx context.Context, id string) error
		Scheduled(ctx context.Context, from string, limit int) (list []Scheduled, next string, err error)
		Due(ctx context.Context, limit int) (dueNow, error)
		Fire(ctx context.Context, firings []firing) (int, error)
	}

	holder interface{ Holds() bool }

	tracker interface {
		Begin(d Delivered) bool
		End(d Delivered, done bool)
		Kept(d Delivered) bool
	}
)

// The types in the methods of a scheduler.
type (
	dueNow = struct {
		Entries []Scheduled
		Now     time.Time
		Next    time.Time
	}

	firing = struct {
		ID      string
		Due     time.Time
		Version string
		Record  *Record
		Next    time.Time
	}
)

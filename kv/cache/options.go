package cache

import (
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/kv"
)

// Option configures New.
type Option func(*options) error

type options struct {
	bytes  int64
	maxAge time.Duration
	follow []string
}

// WithMaxBytes bounds what the near cache holds. The default is 32 MiB, the
// least 4 KiB.
func WithMaxBytes(n int64) Option {
	return func(o *options) error {
		if n < 4<<10 {
			return invalidf("WithMaxBytes(%d), want 4096 or more", n)
		}
		o.bytes = n
		return nil
	}
}

// WithMaxAge is how old what Get returns may be. The default is one second.
func WithMaxAge(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("max age", d, &o.maxAge) }
}

// WithFollow has the backend tell what changes under prefix, whoever changes it.
// While it does, items under prefix are kept until they change, and what Get
// returns is as old as the backend's message is late. While the connection is
// lost, the maximal age counts; when it is made again, nothing is kept that was
// read before. May be given several times.
//
// Redis sends the names of keys alone. On other backends it is a watch, which
// reads everything under prefix at first and after an outage. A store that
// another type decorates is watched too, unless its revisions are digests (no
// Features.Versions): then its items age. New returns kv.ErrUnsupported for a
// store that can't watch.
func WithFollow(prefix string) Option {
	return func(o *options) error { o.follow = append(o.follow, prefix); return nil }
}

func invalidf(format string, args ...any) error { return fault.Markf(kv.ErrInvalid, format, args...) }

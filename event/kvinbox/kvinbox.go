package kvinbox

import (
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/kv"
)

// Inbox notes in a store which records were handled. Its methods may be called
// concurrently.
type Inbox struct {
	store  kv.KV
	prefix string
	keep   time.Duration
	claim  time.Duration
}

// Option configures New.
type Option func(*Inbox) error

// WithKeep is how long it is remembered that a record was handled. It should be
// longer than a record can be delivered again. The default is seven days; the
// minimum is one second.
func WithKeep(d time.Duration) Option {
	return func(b *Inbox) error {
		if d < time.Second {
			return fault.Markf(event.ErrInvalid, "keep for %v, want a second or more", d)
		}
		b.keep = d
		return nil
	}
}

const scope = "event/kvinbox"

// claimLife is how long a record that a process was handling when it ended is kept
// from others. The claim is renewed three times in it, so a function may take longer.
const claimLife = 30 * time.Second

// New makes an inbox in a store. name keeps what handles the same records for
// another purpose apart, and is usually the group's: 1 to 255 bytes. Keys are
// "inbox/<name>/<hash of the record's Source and ID>". It asks the store nothing.
func New(store kv.KV, name string, opts ...Option) (*Inbox, error) {
	if fronts.Nil(store) {
		return nil, fault.New(fault.Invalid, scope, "new", name, "no store")
	}
	if name == "" || len(name) > 255 {
		return nil, fault.New(fault.Invalid, scope, "new", name, "the name has %d bytes, want 1 to 255", len(name))
	}
	b := &Inbox{store: store, prefix: "inbox/" + name + "/", keep: 7 * 24 * time.Hour, claim: claimLife}
	if err := fronts.Apply(b, opts); err != nil {
		return nil, fault.Wrap(scope, "new", name, err)
	}
	if f := store.Features(); f.Shared && f.Evicts {
		return nil, fault.New(fault.Unsupported, scope, "new", name, "kv/%s may evict notes, and their records would be handled again", f.Backend)
	}
	return b, nil
}

package changes

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/dbvalue"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Outbox is an *outbox.Outbox, of package event/outbox.
type Outbox interface {
	Publish(ctx context.Context, tx db.Execer, records ...*event.Record) error
}

// Option configures ToOutbox and ToStream.
type Option func(*options) error

type options struct{ bare bool }

// WithoutRecords makes events that say which record was written, and not what
// is in it: for large records, and for those that not everybody may read.
func WithoutRecords() Option {
	return func(o *options) error { o.bare = true; return nil }
}

// ToOutbox writes changes into an outbox of the same database, in the
// transaction of the write.
func ToOutbox(box Outbox, opts ...Option) db.Option {
	if fronts.Nil(box) {
		return failed("nil outbox")
	}
	return to(opts, func(ctx context.Context, tx db.Execer, rs []*event.Record) error {
		if tx == nil {
			return fault.Markf(db.ErrUnsupported, "an outbox is for SQL databases; ToStream is for memory")
		}
		return box.Publish(ctx, tx, rs...)
	})
}

// ToStream publishes changes before the write is committed. In memory nothing
// can go wrong between the two. The stream should be in memory too: everybody
// waits for it.
func ToStream(s event.Stream, opts ...Option) db.Option {
	if fronts.Nil(s) {
		return failed("nil stream")
	}
	return to(opts, func(ctx context.Context, tx db.Execer, rs []*event.Record) error {
		if tx != nil {
			return fault.Markf(db.ErrUnsupported, "a stream may have what the database then rolls back; ToOutbox is for SQL databases")
		}
		return s.Publish(ctx, rs...)
	})
}

func failed(why string) db.Option {
	return db.WithDriver("changes", func(context.Context) (db.Driver, error) { return nil, fault.Markf(db.ErrInvalid, "%s", why) })
}

func to(opts []Option, publish func(ctx context.Context, tx db.Execer, rs []*event.Record) error) db.Option {
	var o options
	err := fronts.Apply(&o, opts)
	if err != nil {
		return failed(err.Error())
	}
	return db.WithChanges(func(ctx context.Context, tx db.Execer, changes []db.Change) error {
		rs := make([]*event.Record, len(changes))
		for i, c := range changes {
			if o.bare {
				c.Record = nil
			}
			r, err := newRecord(c)
			if err != nil {
				return err
			}
			rs[i] = r
		}
		return publish(ctx, tx, rs)
	})
}

// change is the form of a db.Change in an event.
type change struct {
	Table   string  `json:"table"`
	ID      string  `json:"id"`
	Version uint64  `json:"version"`
	Record  *record `json:"record,omitempty"`
}

type record struct {
	Created     time.Time       `json:"created"`
	Updated     time.Time       `json:"updated"`
	Metadata    json.RawMessage `json:"metadata,omitempty"` // with the types of its values, as db/driver's EncodeMetadata makes it
	ContentType string          `json:"contentType,omitempty"`
	Data        []byte          `json:"data,omitempty"`
}

const contentType = "application/json"

// newRecord makes the event of a change.
func newRecord(c db.Change) (*event.Record, error) {
	v := change{Table: c.Table, ID: c.ID, Version: c.Version}
	if r := c.Record; r != nil {
		md, err := dbvalue.EncodeMetadata(r.Metadata)
		if err != nil {
			return nil, err
		}
		v.Record = &record{Created: r.Created, Updated: r.Updated, Metadata: md, ContentType: r.ContentType, Data: r.Data}
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return &event.Record{
		Type: "db." + c.Table + "." + c.Kind.String(), Subject: c.Table + "/" + c.ID, ContentType: contentType, Data: data,
	}, nil
}

// Parse returns the change that an event tells. Record is nil after
// WithoutRecords. An event that tells none is event.ErrInvalid, which a handler
// may return through event.Terminate.
func Parse(r *event.Record) (db.Change, error) {
	var v change
	parts := strings.Split(r.Type, ".")
	kind := db.ChangeKind(0)
	if len(parts) == 3 && parts[0] == "db" {
		kind = db.ChangeKind(slices.Index([]string{db.Created.String(), db.Updated.String(), db.Deleted.String()}, parts[2]) + 1)
	}
	if kind == 0 {
		return db.Change{}, notOne(r, "another type")
	}
	if err := json.Unmarshal(r.Data, &v); err != nil {
		return db.Change{}, notOne(r, err)
	}
	if v.Table != parts[1] || v.ID == "" || v.Version == 0 {
		return db.Change{}, notOne(r, "no table, id or version")
	}
	c := db.Change{Table: v.Table, ID: v.ID, Kind: kind, Version: v.Version}
	if v.Record != nil {
		md, err := dbvalue.DecodeMetadata(v.Record.Metadata)
		if err != nil {
			return db.Change{}, notOne(r, err)
		}
		c.Record = &db.Record{
			ID: v.ID, Version: v.Version, Created: v.Record.Created, Updated: v.Record.Updated,
			Metadata: md, ContentType: v.Record.ContentType, Data: v.Record.Data,
		}
	}
	return c, nil
}

func notOne(r *event.Record, why any) error {
	return fault.New(event.ErrInvalid, "db/changes", "parse", r.Type, "no change: %s", fmt.Sprint(why))
}

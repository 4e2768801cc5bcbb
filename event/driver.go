package event

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/micro/go-platform/event/internal/codec"
	"github.com/micro/go-platform/internal/fault"
)

// Driver is what a backend does: one stream of records with positions, and
// groups that share it. New's front has done the rest before it asks:
// validation, ids, deadlines, retries, order, dead letters, error wrapping.
// Package eventtest checks these rules. What a backend may be able to do besides is
// the interfaces of package event/driver, which also has what backends share.
//
//  1. All methods may be called concurrently, and none after Close.
//  2. Every record has a position: a string that the driver makes, never
//     empty, valid UTF-8. A later record has a later position, and a position
//     says the same after a restart and in every process.
//  3. Records given to a driver belong to the caller: they must not be kept or
//     changed. Records that a driver returns belong to the caller: a driver
//     must not keep or share them.
//  4. Methods return when ctx ends, with ctx's error in the chain, and with
//     ErrUnknownOutcome too if something may have been changed: without it, the
//     end of WithTimeout is ErrUnavailable. Other errors are ErrUnavailable if
//     certainly nothing was done, ErrUnknownOutcome if something may have been
//     changed, ErrNotFound, ErrConflict, ErrUnsupported as said below, or have
//     no kind.
//  5. After an error of the connection the driver recovers by itself: the next
//     call tries again.
type Driver interface {
	// Append adds records in order, and returns how many of them, counted from
	// the first, are certainly in the stream. It is fewer than all only with an
	// error. When a record can be read, so can all before it: a reader that has
	// passed a position never finds a new record before it.
	Append(ctx context.Context, records []*Record) (int, error)

	// Read returns up to q.Max records beginning at q.From, in q's direction,
	// without waiting. It may leave out records that q.Filter does not match,
	// but need not. Max 0 only resolves From: Next is where reading would
	// begin, so that nothing appended after the call is missed.
	Read(ctx context.Context, q ReadRequest) (Page, error)

	// Wait returns nil when there may be a record after a position, early
	// rather than late, and no less often than once in 30 seconds. A reader
	// that has nothing to do costs the backend no more than a few requests a
	// second.
	Wait(ctx context.Context, after string) error

	// Join makes this process a member of a group, and makes the group if it
	// isn't there: at g.Start, durably where the backend is durable. A group that
	// exists keeps its position; if its types differ from g.Types, Join returns
	// ErrConflict.
	Join(ctx context.Context, g GroupConfig) (Member, error)

	// Groups lists the groups by name.
	Groups(ctx context.Context) ([]GroupInfo, error)

	// DeleteGroup removes a group, also one with members. ErrNotFound if it
	// isn't there.
	DeleteGroup(ctx context.Context, name string) error

	// Ping asks whether the backend answers.
	Ping(ctx context.Context) error

	// Close releases everything. It is called once, after all other calls
	// have returned and all members are closed.
	Close(ctx context.Context) error
}

// Settings are what New tells a driver that it opens.
type Settings struct {
	Namespace string    // names this stream among others on the same backend; may be empty
	Retention Retention // what the front will ask Trim for; zero if the user set none
	Logger    *slog.Logger
}

// ReadRequest asks for a part of the stream.
type ReadRequest struct {
	From    Position // Reverse: Now or Beginning mean the end, After reads what is before it
	Filter  Filter
	Max     int
	Reverse bool
}

// Page is a part of the stream.
type Page struct {
	Records []*Record
	Next    string // From After(Next) goes on; empty only while the stream is
	More    bool   // there may be more at once
	Missed  int64  // records between From and the first one here that are gone: their number, or 1 if the driver can't count them
}

// GroupConfig describes a group that a process joins.
type GroupConfig struct {
	Name     string
	Consumer string // unique among members; made by the front if the user names none
	Types    Patterns
	Start    Position      // used if the group is new
	AckWait  time.Duration // when a member that shows no life loses what it was handed
	// Exclusive: one member at a time is handed records, the others wait.
	// When it goes, the next one is handed first what was not acknowledged, in
	// order.
	Exclusive bool
}

// CheckTypes returns ErrConflict if a group that is there has other types than g
// asks for, in whatever order.
func (g GroupConfig) CheckTypes(has []string) error {
	set := func(types []string) []string { return slices.Compact(slices.Sorted(slices.Values(types))) }
	if slices.Equal(set(has), set(g.Types.List())) {
		return nil
	}
	return fault.Markf(ErrConflict, "group %q selects %q, not %q: use another name, or delete the group first", g.Name, has, g.Types.List())
}

// Member is a process's part in a group. What is handed to it is kept for it
// until it is acknowledged, released, or AckWait has passed without a sign
// of life; then it is handed to another.
type Member interface {
	// Fetch returns up to max deliveries in the order of the stream, as soon as
	// there is one; what others left behind comes first. It may return records
	// of types that the group did not ask for: the front acknowledges them.
	// Calls are not concurrent with each other, and the slice may be used again
	// by the next one. An exclusive member that finds that it is no longer the one
	// returns ErrLost, once; the front then drops everything that it holds.
	Fetch(ctx context.Context, max int) ([]Delivered, error)

	// Ack says that deliveries are done. One that is no longer this member's is
	// no error.
	Ack(ctx context.Context, ds []Delivered) error

	// Extend says that deliveries are being worked on: AckWait starts again. The
	// front calls it about three times per AckWait for all that it holds. It may
	// return ErrLost as Fetch does.
	Extend(ctx context.Context, ds []Delivered) error

	// Release gives deliveries back, to be handed out again at once. They were
	// not attempted: Attempt is the same the next time.
	Release(ctx context.Context, ds []Delivered) error

	// Lag is the group's.
	Lag(ctx context.Context) (Lag, error)

	// Close leaves the group. What was not acknowledged is handed to others.
	Close(ctx context.Context) error
}

// Delivered is a record handed to a member: as Record, or as Encoded with its
// Position.
type Delivered struct {
	Record  *Record
	Attempt int   // how many times it was handed out, from 1
	Err     error // the stored bytes are no record: Record has only a Position and, as Data, the bytes; it goes to the dead letters
	Tag     any   // the driver's own

	// Encoded is what AppendRecord of package event/driver made. The front decodes it when a handler
	// gets it, which saves a copy, and finds out whether it is a record.
	Encoded  string
	Position string // of Encoded

	segment *segment // of the memory backend, in place of Encoded
	index   int
}

// record returns what a driver has handed out; only reading is allowed.
func (d *Delivered) record() *Record {
	if d.Record == nil {
		out, err := d.unpack()
		if err != nil {
			out.record = Record{Position: d.Position, Data: []byte(d.Encoded)}
			d.Err = err
		}
		d.Record = &out.record
	}
	return d.Record
}

// unpack makes what a handler is called with: its own copy of the record.
func (d *Delivered) unpack() (*handout, error) {
	switch {
	case d.Record != nil:
		out := &handout{record: *d.Record}
		r := &out.record
		r.Metadata, r.Data = maps.Clone(r.Metadata), slices.Clone(r.Data)
		return out, d.Err
	case d.segment != nil:
		return &unpack([]Delivered{*d})[0], nil
	}
	out := &handout{}
	err := codec.Parse(d.Encoded, out.record.encodable())
	out.record.Position = d.Position
	return out, err
}

// is reports whether a record's type is one of the patterns'.
func (d *Delivered) is(p *Patterns) bool {
	switch {
	case d.Err != nil, d.segment != nil: // the memory backend has looked
		return true
	case d.Record != nil:
		return p.Match(d.Record.Type)
	}
	t, ok := codec.Type(d.Encoded)
	return !ok || p.Match(t)
}

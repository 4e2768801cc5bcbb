package event

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Record is one thing that happened. Its fields are those of CloudEvents 1.0,
// plus the two ids that tie the records of one story together.
type Record struct {
	ID       string // unique; Publish gives a UUIDv7 to a record without one
	Type     string // a dotted path, "order.created"; required
	Source   string // who says it; Publish gives WithSource's to a record without one
	RootID   string // the record that the story began with; Publish takes it from the context, else the record's own ID
	ParentID string // the record whose handler published this one; Publish takes it from the context
	Subject  string // what it is about, "order/42"; the usual key for Ordered

	Time        time.Time         // when it happened, to the nanosecond; Publish gives now to a record without one
	Metadata    map[string]string // small strings that travel along, a trace context for instance
	ContentType string            // of Data, "application/json"
	Data        []byte

	// Position is where the stream has the record: opaque, and set on every
	// record that comes out of a stream. Publish ignores it. See After.
	Position string
}

// Clone returns a copy that shares nothing with r.
func (r *Record) Clone() *Record {
	c := *r
	c.Metadata = maps.Clone(r.Metadata)
	c.Data = slices.Clone(r.Data)
	return &c
}

// size is what a record is counted as against limits in bytes.
func (r *Record) size() int {
	n := 64 + len(r.ID) + len(r.Type) + len(r.Source) + len(r.RootID) + len(r.ParentID) + len(r.Subject) + len(r.ContentType) + len(r.Data)
	for k, v := range r.Metadata {
		n += len(k) + len(v)
	}
	return n
}

// NewID returns a new UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then
// random bits.
func NewID() string {
	var u [16]byte
	binary.NativeEndian.PutUint64(u[6:], rand.Uint64())
	binary.NativeEndian.PutUint16(u[14:], uint16(rand.Uint32()))
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(time.Now().UnixMilli()))
	copy(u[:6], ms[2:])
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[:8], u[:4])
	hex.Encode(s[9:13], u[4:6])
	hex.Encode(s[14:18], u[6:8])
	hex.Encode(s[19:23], u[8:10])
	hex.Encode(s[24:], u[10:])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}

// fill gives a record what Publish promises.
func (r *Record) fill(ctx context.Context, source string, now time.Time) {
	cause, _ := CauseFromContext(ctx)
	r.Position = ""
	if r.ID == "" {
		r.ID = NewID()
	}
	if r.Source == "" {
		r.Source = source
	}
	if r.RootID == "" {
		if r.RootID = cause.RootID; r.RootID == "" {
			r.RootID = r.ID
		}
	}
	if r.ParentID == "" {
		r.ParentID = cause.ParentID
	}
	if r.Time.IsZero() {
		r.Time = now
	} else {
		r.Time = r.Time.UTC().Round(0)
	}
}

// Prepare returns a copy of r with ID, Time, RootID and ParentID as Publish
// would give them now, and says what is wrong with it, except for the size of
// Data: for what publishes later, as an outbox does.
func Prepare(ctx context.Context, r *Record) (*Record, error) {
	if r == nil {
		return nil, invalidf("nil record")
	}
	c := r.Clone()
	c.fill(ctx, "", time.Now().UTC())
	return c, c.check(math.MaxInt)
}

// Limits of what a record may hold. That of Data is set by WithMaxBytes.
const (
	maxName     = 255      // bytes of ID, Type, Source, RootID, ParentID, Subject and ContentType, each
	maxMetadata = 64 << 10 // bytes of all keys and values
)

// check reports what is wrong with a record that is complete.
func (r *Record) check(maxBytes int) error {
	if err := checkType(r.Type); err != nil {
		return err
	}
	for _, f := range [...]struct{ name, value string }{
		{"ID", r.ID}, {"Source", r.Source}, {"RootID", r.RootID}, {"ParentID", r.ParentID}, {"Subject", r.Subject}, {"ContentType", r.ContentType},
	} {
		if err := checkText(f.name, f.value, maxName); err != nil {
			return err
		}
	}
	n := 0
	for k, v := range r.Metadata {
		if k == "" {
			return invalidf("empty metadata key")
		}
		if err := checkText("metadata key", k, maxName); err != nil {
			return err
		}
		if !utf8.ValidString(v) {
			return invalidf("metadata %q is not UTF-8", k)
		}
		n += len(k) + len(v)
	}
	if n > maxMetadata {
		return tooLargef("metadata has %d bytes, limit %d", n, maxMetadata)
	}
	if len(r.Data) > maxBytes {
		return tooLargef("data has %d bytes, limit %d", len(r.Data), maxBytes)
	}
	if y := r.Time.Year(); y < 1678 || y > 2261 { // what 64 bits of nanoseconds since 1970 can say
		return invalidf("time %v, want a year from 1678 to 2261", r.Time)
	}
	return nil
}

// checkType accepts a dotted path of segments without white space, control
// characters, '*' and '>'.
func checkType(t string) error {
	if t == "" {
		return invalidf("empty type")
	}
	if err := checkText("type", t, maxName); err != nil {
		return err
	}
	if plain(t) && strings.IndexByte(t, '*') < 0 && strings.IndexByte(t, '>') < 0 && strings.IndexByte(t, ' ') < 0 {
		// the common case
	} else if strings.ContainsFunc(t, func(r rune) bool { return r == '*' || r == '>' || unicode.IsSpace(r) }) {
		return invalidf("type %q has a space, '*' or '>'", t)
	}
	if strings.HasPrefix(t, ".") || strings.HasSuffix(t, ".") || strings.Contains(t, "..") {
		return invalidf("type %q has an empty segment", t)
	}
	return nil
}

func checkText(field, s string, limit int) error {
	if len(s) > limit {
		return tooLargef("%s has %d bytes, limit %d", field, len(s), limit)
	}
	if plain(s) {
		return nil
	}
	if !utf8.ValidString(s) {
		return invalidf("%s %q is not UTF-8", field, s)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return invalidf("%s %q has a control character", field, s)
	}
	return nil
}

// plain reports whether all of s is printable ASCII.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

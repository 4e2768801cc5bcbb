package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"log/slog"
	"strconv"
	"time"
)

// Snapshot is one state of the whole configuration. It never changes and is
// safe for concurrent use.
type Snapshot struct {
	version uint64
	applied time.Time
	root    *tree
	index   map[string]*tree
	secrets *secrets
	types   *types
	misread func(v Value, want string) // notified of wrong types; may be nil

	references map[string]*reference // what was put in place of references
	used       []used                // what it was made of, by source
}

// Origin says where a value comes from.
type Origin struct {
	Source   string // the source's name: "file conf.d"
	Part     string // the document in it, if it has several: "10-db.yaml"
	Revision string // of the source's content
	Line     int    // 0 if unknown
	Column   int    // 0 if unknown
}

// String returns, for instance, "file conf.d: 10-db.yaml:12".
func (o Origin) String() string {
	s := o.Source
	if o.Part != "" {
		s += ": " + o.Part
	}
	if o.Line > 0 {
		s += ":" + strconv.Itoa(o.Line)
	}
	return s
}

// longestIndexed bounds the memory of the index; longer paths are walked.
const longestIndexed = 200

func newSnapshot(root *tree, sec *secrets, ty *types) *Snapshot {
	s := &Snapshot{root: root, secrets: sec, types: ty, index: make(map[string]*tree, 64)}
	s.fill("", root)
	return s
}

func (s *Snapshot) fill(path string, t *tree) {
	if len(path) > longestIndexed {
		return
	}
	s.index[path] = t
	for _, m := range t.members {
		s.fill(join(path, m.key), m.val)
	}
}

// ParseSnapshot returns a snapshot of one document as it is written, with its
// nulls. A nil format means JSON; secretPaths are as in WithSecrets. It is for
// tools and tests: New is what follows sources.
func ParseSnapshot(format Format, data []byte, secretPaths ...string) (*Snapshot, error) {
	t, err := parseDocument(Part{Data: data, Format: format}, &provenance{})
	if err != nil {
		return nil, err
	}
	sec := new(secrets)
	for _, p := range secretPaths {
		sec.add(p)
	}
	return newSnapshot(t, sec, new(types)), nil
}

// Version counts the snapshots of one Config from 1. It is local to the process.
func (s *Snapshot) Version() uint64 { return s.version }

// Applied is when the snapshot became the running one.
func (s *Snapshot) Applied() time.Time { return s.applied }

// Get returns the value at path. A path that leads nowhere gives a Value that
// doesn't exist. It does not allocate.
func (s *Snapshot) Get(path string) Value {
	t, ok := s.index[path]
	if !ok {
		t = s.root.walk(path)
	}
	return Value{t: t, s: s, path: path}
}

// Scan decodes the value at path into the value that into points to; see
// Value.Scan.
func (s *Snapshot) Scan(path string, into any) error { return s.Get(path).Scan(into) }

// Origin says which source and which line set the value at path; of an object,
// the last source that added to it. It reports false if nothing is there.
func (s *Snapshot) Origin(path string) (Origin, bool) {
	t := s.Get(path).t
	if t == nil {
		return Origin{}, false
	}
	return t.origin(), true
}

func (t *tree) origin() Origin {
	if t == nil || t.from == nil {
		return Origin{}
	}
	return Origin{Source: t.from.source, Part: t.from.part, Revision: t.from.revision, Line: int(t.line), Column: int(t.column)}
}

// All yields every value that is not an object, with its path, in the order of
// the keys.
func (s *Snapshot) All() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) { s.leaves("", s.root, yield) }
}

func (s *Snapshot) leaves(path string, t *tree, yield func(string, Value) bool) bool {
	if t.kind != Object {
		return yield(path, Value{t: t, s: s, path: path})
	}
	for _, m := range t.members {
		if !s.leaves(join(path, m.key), m.val, yield) {
			return false
		}
	}
	return true
}

// Hash identifies the content: equal in every process that runs the same
// values.
func (s *Snapshot) Hash() string {
	sum := sha256.Sum256(s.Bytes())
	return hex.EncodeToString(sum[:8])
}

// Bytes returns the whole configuration as compact JSON with sorted keys,
// secrets in clear.
func (s *Snapshot) Bytes() []byte { return appendJSON(nil, s.root, "", nil) }

// String returns the whole configuration as JSON, secrets redacted.
func (s *Snapshot) String() string {
	return string(appendJSON(nil, s.root, "", &redaction{secrets: s.secrets}))
}

// Format makes every verb of fmt print what String returns.
func (s *Snapshot) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// MarshalJSON returns what String returns: secrets redacted.
func (s *Snapshot) MarshalJSON() ([]byte, error) { return []byte(s.String()), nil }

// LogValue returns what String returns.
func (s *Snapshot) LogValue() slog.Value { return slog.StringValue(s.String()) }

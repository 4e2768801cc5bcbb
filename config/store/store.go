package store

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"time"

	"github.com/micro/go-platform/config"
)

// Store keeps versioned documents. All methods are safe for concurrent use.
type Store interface {
	// Get returns the newest version of a document, or ErrNotFound.
	Get(ctx context.Context, namespace string) (Document, error)

	// At returns one version, also of a document that is deleted now.
	At(ctx context.Context, namespace string, number uint64) (Document, error)

	// Put replaces a whole document. document is JSON ([]byte or
	// json.RawMessage) or anything that encoding/json marshals to an object.
	Put(ctx context.Context, namespace string, document any, opts ...WriteOption) (Version, error)

	// Set sets the value at path; see config.SetPath. The document is made if
	// there is none.
	Set(ctx context.Context, namespace, path string, value any, opts ...WriteOption) (Version, error)

	// Unset removes the value at path. Nothing there is no error and no version.
	Unset(ctx context.Context, namespace, path string, opts ...WriteOption) (Version, error)

	// Patch applies a JSON Merge Patch (RFC 7396): one version for changes at
	// several paths.
	Patch(ctx context.Context, namespace string, patch []byte, opts ...WriteOption) (Version, error)

	// Update lets change turn the newest document into the next one. It may be
	// called several times, with ever newer documents; {} if there is none.
	Update(ctx context.Context, namespace string, change func(document []byte) ([]byte, error), opts ...WriteOption) (Version, error)

	// Delete makes the document absent. ErrNotFound if it is.
	Delete(ctx context.Context, namespace string, opts ...WriteOption) (Version, error)

	// Rollback makes a new version that is equal to an old one.
	Rollback(ctx context.Context, namespace string, to uint64, opts ...WriteOption) (Version, error)

	// History yields the versions that match, newest first.
	History(ctx context.Context, q Query) iter.Seq2[Version, error]

	// Diff returns what differs between two versions of a document, secrets
	// redacted when printed. 0 stands for the newest.
	Diff(ctx context.Context, namespace string, from, to uint64) ([]config.Change, error)

	// Namespaces returns the names of all documents that are there, sorted.
	Namespaces(ctx context.Context) ([]string, error)

	// Source returns a source of the documents that config.Namespaces names for
	// parts, base first: Source("shop", "prod") is "shop" and "shop/prod". Any of
	// them may be absent, not all. Edits are live within a second.
	Source(parts ...string) config.Source

	// Close ends the watches and waits for calls in progress. It is idempotent.
	Close() error
}

// Action is what a write did.
type Action string

// The actions.
const (
	ActionPut      Action = "put"
	ActionSet      Action = "set"
	ActionUnset    Action = "unset"
	ActionPatch    Action = "patch"
	ActionUpdate   Action = "update"
	ActionDelete   Action = "delete"
	ActionRollback Action = "rollback"
)

// Version describes one version of a document: the audit record of a write.
type Version struct {
	Namespace string    `json:"namespace"`
	Number    uint64    `json:"number"` // from 1
	Time      time.Time `json:"time"`   // by the writer's clock, UTC
	Author    string    `json:"author,omitempty"`
	Comment   string    `json:"comment,omitempty"`
	Action    Action    `json:"action"`
	Path      string    `json:"path,omitempty"` // of Set and Unset
	Of        uint64    `json:"of,omitempty"`   // of Rollback: the version that it copies
	Checksum  string    `json:"checksum"`       // SHA-256 of the document's canonical JSON, in hex
	ID        string    `json:"id"`             // unique to the write
	Deleted   bool      `json:"deleted,omitempty"`
}

// String returns, for instance, `shop/prod 7: set server.port by ann: "TLS"`.
func (v Version) String() string {
	s := fmt.Sprintf("%s %d: %s", v.Namespace, v.Number, v.Action)
	if v.Path != "" {
		s += " " + v.Path
	}
	if v.Of != 0 {
		s += fmt.Sprintf(" to %d", v.Of)
	}
	if v.Author != "" {
		s += " by " + v.Author
	}
	if v.Comment != "" {
		s += fmt.Sprintf(": %q", v.Comment)
	}
	return s
}

// Document is one version with its content. It is immutable. Printing and
// marshalling it redacts secrets.
type Document struct {
	Version
	data     []byte
	snapshot *config.Snapshot
}

// Get returns the value at path.
func (d Document) Get(path string) config.Value {
	if d.snapshot == nil {
		return config.Value{}
	}
	return d.snapshot.Get(path)
}

// Bytes returns the document as JSON, secrets in clear.
func (d Document) Bytes() []byte { return slices.Clone(d.data) }

// String returns the version and the document, secrets redacted.
func (d Document) String() string { return d.Version.String() + " " + d.Get("").Show() }

// Format makes every verb of fmt print what String returns.
func (d Document) Format(f fmt.State, _ rune) { fmt.Fprint(f, d.String()) }

// LogValue returns what String returns.
func (d Document) LogValue() slog.Value { return slog.StringValue(d.String()) }

// MarshalJSON returns the version and the document, secrets redacted.
func (d Document) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Version
		Document config.Value `json:"document"`
	}{d.Version, d.Get("")})
}

// Query selects versions. The zero Query matches all.
type Query struct {
	Namespace string    // this one …
	Below     bool      // … and those below it
	Author    string    // by this author
	Path      string    // writes that may have touched the value at this path
	Since     time.Time // at or after
	Until     time.Time // before
	Limit     int       // at most so many; 0: no limit
}

// New opens a store. Without a backend among the options it is kept in this
// process.
func New(opts ...Option) (Store, error) {
	s, err := newFront(opts)
	if err != nil {
		return nil, err // and not a nil *front, which is no nil Store
	}
	return s, nil
}

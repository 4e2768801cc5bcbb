package config

import "context"

// MaxSize is how large one document may be, in bytes. A larger one is
// ErrTooLarge; sources stop reading there.
const MaxSize = 4 << 20

// Limits of one document, whatever its format.
const (
	maxDepth = 100     // levels of nesting
	maxNodes = 500_000 // values, after aliases are expanded
)

// Source is where a layer comes from. It is all that a driver must be.
//
//  1. Name is constant, says which source it is ("file app.yaml") and holds no
//     secret. It is cheap.
//  2. Building a Source opens nothing and reports nothing: arguments are
//     checked in Open (see Opener) or, without that, in Read.
//  3. Read returns the whole newest content. It ends promptly when ctx does.
//     It may run at the same time as Watch, never as another Read.
//  4. What is not there is ErrNotFound; a server that can't be asked is
//     ErrUnavailable, best with the address; bad content is ErrInvalid. The
//     front adds the source's name, so a driver does not.
//  5. What Read returned is not changed afterwards.
//  6. A Source belongs to one Config.
type Source interface {
	Name() string
	Read(ctx context.Context) (Content, error)
}

// Opener is an extra ability of a Source: Open is called once, before the
// first Read. It checks arguments and builds clients but needs no server. An
// error without a kind counts as ErrInvalid.
type Opener interface {
	Open(ctx context.Context) error
}

// Closer is an extra ability of a Source: Close is called once, after every
// Read and Watch has returned.
type Closer interface {
	Close() error
}

// Watcher is an extra ability of a Source: it waits for changes. A Source
// without it is polled.
//
//  1. Watch delivers the content as it is at first, then again whenever it has
//     changed, until ctx ends or the watch breaks; it then returns why. It may
//     skip states in between, never the last one.
//  2. deliver(Content{}, err) says that the content can't be had now, as Read
//     would (a deleted file is ErrNotFound), while the watch goes on.
//  3. The front calls Watch again after a failure, with a jittered and growing
//     wait. Watch itself does not retry.
//  4. Deliver is called by one goroutine at a time and not after Watch returned.
//  5. While nothing changes, Watch costs next to nothing: no more than a few
//     requests a minute.
type Watcher interface {
	Watch(ctx context.Context, deliver func(Content, error)) error
}

// Content is what a source holds at one moment.
type Content struct {
	// Parts are merged in order, the last one wins. One file is one part; a
	// directory has one a file.
	Parts []Part
	// Revision differs when the content does: a version, an index, an ETag.
	// Empty if the source has none; the front then compares the bytes.
	Revision string
}

// Part is one document.
type Part struct {
	Name   string // in Origin and errors; empty means the source's name
	Data   []byte // the document's text …
	Format Format // … in this format; nil means JSON
	Root   *Node  // or the document itself, instead of Data
	Secret bool   // no output shows a value of the part, whatever its key
}

// Format parses the text of a document. Implementations hold no state.
//
// Parse reports line and column where it can, in nodes and as *SyntaxError.
// More than one document in data is an error. It need not check depth, size
// and duplicate keys of the result, the front does; but it must stay bounded
// by the size of data itself.
type Format interface {
	Name() string         // "yaml"
	Extensions() []string // ".yaml", ".yml"
	Parse(data []byte) (*Node, error)
}

// Kind is the type of a value.
type Kind uint8

// The kinds of values.
const (
	Missing Kind = iota // not a value: nothing is set here
	Null
	Bool
	Number
	String
	Text // a string from a source without types (env, flags): it converts to what is asked for
	Array
	Object
)

var kindNames = [...]string{"nothing", "null", "bool", "number", "string", "text", "array", "object"}

// String returns the kind's name.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Node is a value as a format or a source gives it.
type Node struct {
	Kind    Kind
	Bool    bool     // of Bool
	Text    string   // of String and Text; of Number its decimal literal as in JSON
	Items   []*Node  // of Array
	Members []Member // of Object, in any order
	Line    int      // from 1; 0 if unknown
	Column  int      // from 1; 0 if unknown
}

// Member is one key of an object.
type Member struct {
	Key   string
	Value *Node
}

package otlp

import (
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	engine "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/otlp"
	"github.com/micro/go-platform/log"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// opened is a driver before a server that answers each request as told, and sees how long
// it is.
func opened(t *testing.T, most int, answer func(n, length int) (code int, body string)) *driver {
	t.Helper()
	n := 0
	server := roundTrip(func(r *http.Request) (*http.Response, error) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		n++
		w := httptest.NewRecorder()
		code, body := answer(n, len(b))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
		return w.Result(), nil
	})
	client, err := otlp.New("collector:4318", otlp.Logs(), []engine.Option{engine.WithJSON(), engine.WithoutGzip(), engine.WithMaxRequest(most), engine.WithClient(&http.Client{Transport: server})})
	if err != nil {
		t.Fatal(err)
	}
	return &driver{Client: client}
}

// batch is a record of a logger of its own for each name.
func batch(names ...string) (b log.Batch) {
	for _, name := range names {
		r := encoding{}.Append(nil, &log.Record{Logger: name, Message: "m"})
		b.Data = append(b.Data, r...)
		b.Ends = append(b.Ends, len(b.Data))
	}
	return b
}

// How many records are done, and how many of them refused, by what the server says.
func TestAnswers(t *testing.T) {
	long := strings.Repeat("n", 1000)
	for name, c := range map[string]struct {
		answer func(n, length int) (int, string)
		done   int
		err    error // nil: none
		says   string
	}{
		"taken":             {func(int, int) (int, string) { return 200, "{}" }, 4, nil, ""},
		"unavailable":       {func(int, int) (int, string) { return 503, "" }, 0, fault.Unavailable, "503"},
		"later unavailable": {func(n, _ int) (int, string) { return map[bool]int{true: 200, false: 503}[n == 1], "{}" }, 2, fault.Unavailable, "503"},
		"refused":           {func(int, int) (int, string) { return 400, "" }, 2, fault.Invalid, "400"},
		"refused later":     {func(n, _ int) (int, string) { return map[bool]int{true: 200, false: 400}[n == 1], "{}" }, 4, fault.Invalid, "400"},
		"one is refused": {func(int, int) (int, string) {
			return 200, `{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"old"}}`
		}, 2, fault.Invalid, "1 records refused: old"},
		"more than there are": {func(int, int) (int, string) {
			return 200, `{"partialSuccess":{"rejectedLogRecords":"9","errorMessage":"old"}}`
		}, 2, fault.Invalid, "2 records refused: old"},
	} {
		d := opened(t, 2600, c.answer) // two to a request
		n, err := d.Write(t.Context(), batch(long+"a", long+"b", long+"c", long+"d"))
		if n != c.done || (err == nil) != (c.err == nil) || err != nil && (!errors.Is(err, c.err) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %d, %v, want %d, %v", name, n, err, c.done, c.says)
		}
	}
}

// The names of loggers count too: no request is over the limit by them.
func TestNamesHaveTheirPlaceInARequest(t *testing.T) {
	b := batch(strings.Repeat("n", 700), strings.Repeat("o", 700), strings.Repeat("p", 700))
	longest := 0
	d := opened(t, 2000, func(_, length int) (int, string) { longest = max(longest, length); return 200, "{}" })
	_, first := d.fill(b, 0)
	_, one := d.fill(batch(strings.Repeat("n", 2000)), 0)
	_, shared := d.fill(batch(strings.Repeat("n", 700), strings.Repeat("n", 700), strings.Repeat("n", 700)), 0)
	if first != 2 || one != 0 || shared != 3 {
		t.Errorf("%d, %d and %d records fit, want 2, 0 and 3", first, one, shared)
	}
	if _, err := d.Write(t.Context(), batch(strings.Repeat("n", 2000))); !errors.Is(err, fault.TooLarge) {
		t.Errorf("a name that no request holds: %v", err)
	}
	if n, err := d.Write(t.Context(), b); n != 3 || err != nil || longest == 0 {
		t.Errorf("%d, %v", n, err)
	}
}

// The last record that fits is one that fills the room.
func TestRoomIsFilled(t *testing.T) {
	b := batch("", "")
	logger, record := split(b.Record(0))
	if n, k := binary.Uvarint(b.Record(0)); n != 0 || k != 1 || logger != "" {
		t.Fatalf("%d in %d bytes, %q", n, k, logger)
	}
	fits := 2*len(record) + 2*overhead // the request's and the scope's
	for most, want := range map[int]int{fits - 1: 1, fits: 2, fits + 1: 2} {
		d := opened(t, 2000, nil)
		d.Max = most
		if _, n := d.fill(b, 0); n != want {
			t.Errorf("%d fit into %d bytes, want %d", n, most, want)
		}
	}
}

func TestSources(t *testing.T) {
	for s, want := range map[string]struct {
		file string
		line int
		ok   bool
	}{"a.go:7": {"a.go", 7, true}, ":7": {"", 7, true}, "a:b.go:7": {"a:b.go", 7, true}, "a.go": {"", 0, false}, "a.go:": {"a.go", 0, false}, "a.go:x": {"a.go", 0, false}} {
		if file, line, ok := cutSource(s); file != want.file || line != want.line || ok != want.ok {
			t.Errorf("%q: %q, %d, %v", s, file, line, ok)
		}
	}
}

func TestBackendSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		opt  log.Option
		want string
	}{"scheme": {Backend("ftp://x"), "scheme"}, "nil": {Backend("x", nil), "option 1 is nil"}} {
		if _, err := log.New(c.opt); !errors.Is(err, log.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

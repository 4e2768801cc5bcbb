package cloudevents_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/cloudevents"
)

// Each case differs from a CloudEvent in one thing, which the error names.
func TestRefusalsSayWhatIsWrong(t *testing.T) {
	const event1 = `"specversion":"1.0","id":"1","type":"t","source":"s"`
	for _, c := range []struct{ contentType, body, why string }{
		{cloudevents.TypeJSON, `{` + event1 + `}`, ""},
		{cloudevents.TypeJSON, `{` + event1 + `,"data_base64":"AP8="}`, ""},
		{cloudevents.TypeJSON, `{` + event1 + `,"data_base64":"AP8"}`, "data_base64: illegal base64"},
		{cloudevents.TypeJSON, `{` + event1 + `,"data_base64":7}`, "data_base64 is no string"},
		{cloudevents.TypeJSON, `{` + event1 + `,"data_base64":"","data":1}`, "both data and data_base64"},
		{cloudevents.TypeJSON, `{` + event1 + `,"x":[]}`, `attribute "x"`},
		{cloudevents.TypeJSON, `{` + event1 + `,"x":{}}`, `attribute "x"`},
		{cloudevents.TypeJSON, `{` + event1 + `,"time":"2018-04-05t17:31:00z"}`, ""},
		{cloudevents.TypeJSON, `{` + event1 + `,"time":"2018-04-05"}`, "RFC 3339"},
		{cloudevents.TypeJSON, `{"specversion":"1.0","type":"t","source":"s"}`, "no id"},
		{cloudevents.TypeJSON, `{"specversion":"1.0","id":"1","source":"s"}`, "no type"},
		{cloudevents.TypeJSON, `{"specversion":"1.0","id":"1","type":"t"}`, "no source"},
		{cloudevents.TypeJSON, `{"specversion":"1.1","id":"1","type":"t","source":"s"}`, `specversion "1.1"`},
		{cloudevents.TypeJSON, `[]`, "not a JSON object"},
		{cloudevents.TypeJSON + "; charset=UTF-8", `{` + event1 + `}`, ""},
		{cloudevents.TypeJSON + "; charset=latin1", `{` + event1 + `}`, `charset "latin1"`},
		{cloudevents.TypeBatch, `[{` + event1 + `}]`, ""},
		{cloudevents.TypeBatch, `{` + event1 + `}`, "not a JSON array"},
		{cloudevents.TypeBatch, `[{` + event1 + `},{}]`, "specversion"},
		{cloudevents.TypeBatch + "; charset=latin1", `[{` + event1 + `}]`, `charset "latin1"`},
		{"application/cloudevents+avro", `{` + event1 + `}`, "application/cloudevents+avro"},
		{"application/json", `{` + event1 + `}`, "specversion"}, // binary mode, without headers
	} {
		got, err := cloudevents.FromMessage(http.Header{"Content-Type": {c.contentType}}, []byte(c.body))
		switch {
		case c.why == "":
			if err != nil || len(got) != 1 || got[0].ID != "1" {
				t.Errorf("%s %s: got %+v, %v, want the event", c.contentType, c.body, got, err)
			}
		case !errors.Is(err, event.ErrInvalid) || !strings.Contains(err.Error(), c.why):
			t.Errorf("%s %s: got %+v, %v, want ErrInvalid: %s", c.contentType, c.body, got, err, c.why)
		}
	}
}

// What a sender writes into headers in one of the ways that the HTTP binding allows.
func TestHeadersOfBinaryMode(t *testing.T) {
	for _, c := range []struct{ name, value, want, why string }{
		{"Ce-Subject", "plain", "plain", ""},
		{"Ce-Subject", `"quoted"`, "quoted", ""},
		{"Ce-Subject", `"`, `"`, ""},
		{"Ce-Subject", `""`, "", ""},
		{"Ce-Subject", `"opened`, `"opened`, ""},
		{"Ce-Subject", `closed"`, `closed"`, ""},
		{"Ce-Subject", `"a \"word\" and \\"`, `a "word" and \`, ""},
		{"Ce-Subject", "a%20b%C3%bc", "a bü", ""},
		{"Ce-Subject", "%41", "A", ""},
		{"Ce-Subject", "100%", "", "percent sign"},
		{"Ce-Subject", "100%4", "", "percent sign"},
		{"Ce-Subject", "100%zz", "", "percent sign"},
		{"Ce-Subject", "100%4z", "", "percent sign"},
		{"Ce-Subject", "100% 4", "", "percent sign"},
		{"Ce-Data", "x", "", "Ce-Data"},
		{"Ce-Data_base64", "x", "", "Ce-Data_base64"},
		{"Ce-Datacontenttype", "x", "", "Ce-Datacontenttype"},
	} {
		h := http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Type": {"t"}, "Ce-Source": {"s"}, c.name: {c.value}}
		got, err := cloudevents.FromMessage(h, nil)
		switch {
		case c.why == "":
			want := []*event.Record{{ID: "1", Type: "t", Source: "s", Subject: c.want}}
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %s is %+v, %v, want the subject %q and nothing else", c.name, c.value, got, err, c.want)
			}
		case !errors.Is(err, event.ErrInvalid) || !strings.Contains(err.Error(), c.why):
			t.Errorf("%s: %s is %+v, %v, want ErrInvalid: %s", c.name, c.value, got, err, c.why)
		}
	}
	h := http.Header{}
	cloudevents.SetHeaders(h, &event.Record{ID: "1", Type: "t", Subject: "a \"b\" 100% ü\x7f~!"})
	want := http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Type": {"t"}, "Ce-Source": {"/"}, "Ce-Subject": {"a%20%22b%22%20100%25%20%C3%BC%7F~!"}}
	if !reflect.DeepEqual(h, want) {
		t.Errorf("headers %v, want %v", h, want)
	}
}

// Data that is JSON stands in the event as it is, text as a string, all else as
// base64; a record without a source has one.
func TestFormOfTheData(t *testing.T) {
	for _, c := range []struct{ contentType, data, want string }{
		{"application/json", "{}", `"data":{}`},
		{"application/json; charset=utf-8", "{}", `"data":{}`},
		{"text/json", "{}", `"data":{}`},
		{"application/problem+json", "{}", `"data":{}`},
		{"application/jsonlines", "{}", `"data_base64":"e30="`},
		{"application/json", "{", `"data_base64":"ew=="`},
		{"text/json", "{", `"data_base64":"ew=="`},
		{"text/plain", "{}", `"data":"{}"`},
		{"text/plain", "\xff", `"data_base64":"/w=="`},
		{"application/text", "x", `"data_base64":"eA=="`},
		{"", "{}", `"data_base64":"e30="`},
	} {
		r := &event.Record{ID: "1", Type: "t", ContentType: c.contentType, Data: []byte(c.data)}
		b, err := cloudevents.Marshal(r)
		if err != nil || !strings.Contains(string(b), `"source":"/"`) || !strings.HasSuffix(string(b), ","+c.want+"}") {
			t.Errorf("%q as %q: %s, %v, want %s and the source /", c.data, c.contentType, b, err, c.want)
		}
	}
}

// failing is a body that ends with an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestABodyThatDoesNotCome(t *testing.T) {
	s, err := event.New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	for _, c := range []struct {
		err  error
		want int
		says string
	}{
		{os.ErrDeadlineExceeded, http.StatusRequestTimeout, "too slowly"},
		{io.ErrUnexpectedEOF, http.StatusBadRequest, "reading the body"},
		{io.EOF, http.StatusBadRequest, "specversion"},
	} {
		w := httptest.NewRecorder()
		cloudevents.Handler(s).ServeHTTP(w, httptest.NewRequest("POST", "/", failing{c.err}))
		if w.Code != c.want || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%v: %d %s, want %d: %s", c.err, w.Code, w.Body, c.want, c.says)
		}
	}
}

// Names that are attributes of CloudEvents travel as extensions of their own; the
// first and last letters and digits too.
func TestNamesOfExtensions(t *testing.T) {
	for name, own := range map[string]bool{
		"a": true, "z": true, "0": true, "9": true, "az09": true, "traceparent": true,
		"A": false, "Z": false, "a-b": false, "a_b": false, "ä": false, "`": false, "{": false, "/": false, ":": false,
		"id": false, "data": false, "data_base64": false, "": false,
	} {
		r := &event.Record{ID: "1", Type: "t", Source: "s", Metadata: map[string]string{name: "v"}}
		h := http.Header{}
		cloudevents.SetHeaders(h, r)
		if got := h.Get("Ce-"+name) == "v" && name != ""; got != own {
			t.Errorf("%q is an extension of its own: %v, want %v: %v", name, got, own, h)
		}
		if (h.Get("Ce-Metadata") == "") != own {
			t.Errorf("%q: metadata is %q", name, h.Get("Ce-Metadata"))
		}
		back, err := cloudevents.FromMessage(h, nil)
		if err != nil || !reflect.DeepEqual(back[0], r) {
			t.Errorf("%q came back as %+v, %v", name, back, err)
		}
	}
}

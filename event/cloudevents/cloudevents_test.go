package cloudevents_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/cloudevents"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

var records = []*event.Record{
	{ID: "1", Type: "com.example.someevent", Source: "/mycontext"},
	{ID: "A234-1234-1234", Type: "com.example.someevent", Source: "https://example.com/a?b=c", Subject: "larger \"context\" 100% ü", RootID: "r", ParentID: "p",
		Time: time.Date(2018, 4, 5, 17, 31, 0, 123456789, time.UTC), ContentType: "application/json", Data: []byte(`{"a":[1,"<&>"]}`),
		Metadata: map[string]string{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "Odd-Key": "v\nw", "id": "x", "empty": "", "metadata": "m"}},
	{ID: "2", Type: "t", Source: "s", ContentType: "text/plain", Data: []byte("plain ü")},
	{ID: "3", Type: "t", Source: "s", ContentType: "application/octet-stream", Data: []byte{0, 255, 1}},
	{ID: "4", Type: "t", Source: "s", Data: []byte("no type")},
	{ID: "5", Type: "t", Source: "s", ContentType: "application/problem+json; charset=utf-8", Data: []byte("1")},
	{ID: "6", Type: "t", Source: "s", ContentType: "application/json", Data: []byte("not json")},
	{ID: "7", Type: "t", Source: "s", ContentType: "text/plain", Data: []byte{0xff}},
}

func TestJSONRoundTrip(t *testing.T) {
	for _, r := range records {
		b, err := cloudevents.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := cloudevents.Unmarshal(b)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%s: %v\n got %+v\nwant %+v", b, err, got, r)
		}
	}
}

func TestBinaryRoundTrip(t *testing.T) {
	for _, r := range records {
		h := http.Header{}
		cloudevents.SetHeaders(h, r)
		for k, vs := range h {
			if strings.ContainsFunc(vs[0], func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("header %s: %q can't be sent", k, vs[0])
			}
		}
		got, err := cloudevents.FromMessage(h, r.Data)
		if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], r) {
			t.Errorf("%v: %v\n got %+v\nwant %+v", h, err, got, r)
		}
	}
}

// The example of the specification's JSON format, section 3.2.
func TestSpecificationsExample(t *testing.T) {
	r, err := cloudevents.Unmarshal([]byte(`{
		"specversion" : "1.0", "type" : "com.example.someevent", "source" : "/mycontext", "subject": null, "id" : "C234-1234-1234", "time" : "2018-04-05T17:31:00Z",
		"comexampleextension1" : "value", "comexampleothervalue" : 5, "unsetextension": null, "datacontenttype" : "application/json", "data" : {"appinfoA" : "abc", "appinfoC" : true}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &event.Record{ID: "C234-1234-1234", Type: "com.example.someevent", Source: "/mycontext", Time: time.Date(2018, 4, 5, 17, 31, 0, 0, time.UTC), ContentType: "application/json",
		Data: []byte(`{"appinfoA" : "abc", "appinfoC" : true}`), Metadata: map[string]string{"comexampleextension1": "value", "comexampleothervalue": "5"}}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("got %+v\nwant %+v", r, want)
	}
}

func TestWhatIsNoCloudEventIsRefused(t *testing.T) {
	for _, s := range []string{"", "[]", "1", "{}", `{"specversion":"0.3","id":"1","type":"t","source":"s"}`, `{"specversion":"1.0","type":"t","source":"s"}`,
		`{"specversion":"1.0","id":"1","type":"t","source":"s","time":"yesterday"}`, `{"specversion":"1.0","id":"1","type":"t","source":"s","x":{}}`,
		`{"specversion":"1.0","id":"1","type":"t","source":"s","data_base64":"%"}`, `{"specversion":"1.0","id":"1","type":"t","source":"s","data_base64":"","data":1}`,
		`{"specversion":"1.0","id":"1","type":"t","source":"s","id":"2"}`, `{"specversion":"1.0","id":"1","type":"t","source":"s","data":{"a":1,"a":2}}`,
		`{"specversion":"1.0","id":"1","type":"t","source":"s","subject":"\ud800"}`, "{\"specversion\":\"1.0\",\"id\":\"1\",\"type\":\"t\",\"source\":\"\xff\"}"} {
		if r, err := cloudevents.Unmarshal([]byte(s)); !errors.Is(err, event.ErrInvalid) {
			t.Errorf("%s: got %+v, %v, want ErrInvalid", s, r, err)
		}
	}
	for _, h := range []http.Header{{}, {"Ce-Specversion": {"1.0"}, "Ce-Id": {"%4"}, "Ce-Type": {"t"}, "Ce-Source": {"s"}}, {"Content-Type": {"application/cloudevents+avro"}},
		{"Content-Type": {"application/cloudevents+json; charset=latin1"}}, {"Content-Type": {cloudevents.TypeBatch}}} {
		if r, err := cloudevents.FromMessage(h, []byte("{}")); !errors.Is(err, event.ErrInvalid) {
			t.Errorf("%v: got %+v, %v, want ErrInvalid", h, r, err)
		}
	}
}

func TestHandlerPublishes(t *testing.T) {
	s, _ := event.New(event.WithMaxBytes(1000))
	defer s.Close(context.Background())
	server := httptest.NewServer(cloudevents.Handler(s))
	defer server.Close()
	post := func(contentType, body string) int {
		t.Helper()
		res, err := http.Post(server.URL, contentType, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	one, _ := cloudevents.Marshal(records[0])
	two, _ := cloudevents.Marshal(records[1])
	big, _ := cloudevents.Marshal(&event.Record{ID: "1", Type: "t", Source: "s", Data: make([]byte, 1001)})
	star, _ := cloudevents.Marshal(&event.Record{ID: "1", Type: "dead.t", Source: "s"})
	for _, c := range []struct {
		contentType, body string
		want              int
	}{
		{cloudevents.TypeJSON, string(one), 202}, {cloudevents.TypeBatch, fmt.Sprintf("[%s,%s]", one, two), 202}, {cloudevents.TypeBatch, "[]", 202},
		{cloudevents.TypeJSON, "{", 400}, {"application/json", "{}", 400}, {cloudevents.TypeJSON, string(star), 400}, {cloudevents.TypeJSON, string(big), 413},
		{cloudevents.TypeJSON, strings.Repeat(" ", 5<<20), 413},
	} {
		if got := post(c.contentType, c.body); got != c.want {
			t.Errorf("%s %.80s: status %d, want %d", c.contentType, c.body, got, c.want)
		}
	}
	req, _ := cloudevents.NewRequest(server.URL, records[3])
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != 202 {
		t.Fatalf("binary mode: %v, %v", res, err)
	}
	res.Body.Close()
	n := 0
	for r := range s.Query(t.Context()) {
		n++
		if r.ID == "3" && string(r.Data) != "\x00\xff\x01" {
			t.Errorf("binary mode stored %q", r.Data)
		}
	}
	if n != 4 {
		t.Errorf("%d records in the stream, want 4", n)
	}
	s.Close(context.Background())
	if got := post(cloudevents.TypeJSON, string(one)); got != 503 {
		t.Errorf("closed stream: status %d, want 503", got)
	}
	res, err = http.Get(server.URL)
	if err != nil || res.StatusCode != 405 || res.Header.Get("Allow") != "POST" {
		t.Fatalf("GET: %v, %v, want 405, and POST allowed", res, err)
	}
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
}

// What others sent comes out of the stream as it went in, whatever names it has.
func TestOthersEventsComeBackUnchanged(t *testing.T) {
	s, _ := event.New()
	defer s.Close(context.Background())
	server := httptest.NewServer(cloudevents.Handler(s))
	defer server.Close()
	long := strings.Repeat("long", 15_000)
	for _, attributes := range []map[string]string{
		{"type": "with a space"}, {"type": "a.*"}, {"type": "a..b"}, {"type": long}, {"id": long}, {"subject": long}, {"source": "urn:" + long},
		{"anextensionwithanamethatislongerthantwenty": "v", "x": long}, {"metadata": "plain"}, {"metadata": `{"x":"y"}`}, {"metadata": `{"Odd":"y"}`},
		{"metadata": `{"metadata":"m"}`}, {"metadata": "{}"}, {"metadata": `{"a":1}`}, {"dataschema": "https://example.com/schema", "traceparent": "00-a-b-01"},
	} {
		in := map[string]string{"specversion": "1.0", "id": "1", "type": "t", "source": "s", "time": "2018-04-05T17:31:00Z"}
		for k, v := range attributes {
			in[k] = v
		}
		body, _ := json.Marshal(in)
		res, err := http.Post(server.URL, cloudevents.TypeJSON, strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusAccepted {
			t.Errorf("%.100v: status %d, want 202", attributes, res.StatusCode)
			continue
		}
		for r := range s.Query(t.Context(), event.Reverse(), event.Limit(1)) {
			r.RootID = "" // this stream's own
			b, err := cloudevents.Marshal(r)
			var out map[string]string
			if err != nil || json.Unmarshal(b, &out) != nil || !reflect.DeepEqual(out, in) {
				t.Errorf("sent %.300v\n got %.300v, %v", in, out, err)
			}
			h := http.Header{}
			cloudevents.SetHeaders(h, r)
			if again, err := cloudevents.FromMessage(h, nil); err != nil || !reflect.DeepEqual(again[0].Metadata, r.Metadata) {
				t.Errorf("in headers %.300v became %.300v, %v", r.Metadata, again, err)
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestStrangersMayNotSetWhatTiesRecordsTogether(t *testing.T) {
	s, _ := event.New()
	defer s.Close(context.Background())
	const forged = `{"specversion":"1.0","id":"1","type":"t","source":"s","rootid":"forged","parentid":"forged","x":"y","metadata":"{\"dead-id\":\"forged\",\"dead-parent\":\"forged\",\"reply-to\":\"_reply.x\"}"}`
	post := func(h http.Handler, contentType, body string) int {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		h.ServeHTTP(w, r)
		return w.Code
	}
	newest := func() *event.Record {
		for r := range s.Query(t.Context(), event.Reverse(), event.Limit(1), event.Types("**", "dead.**", "dead")) {
			return r
		}
		return &event.Record{}
	}
	for contentType, body := range map[string]string{cloudevents.TypeJSON: forged, cloudevents.TypeBatch: "[" + forged + "]"} {
		if got := post(cloudevents.Handler(s), contentType, body); got != http.StatusAccepted {
			t.Fatalf("%s: status %d, want 202", contentType, got)
		}
		if r := newest(); r.RootID != "1" || r.ParentID != "" || len(r.Metadata) != 1 || r.Metadata["x"] != "y" {
			t.Errorf("%s stored %+v, want only its own id and the extension x", contentType, r)
		}
	}
	for _, typ := range []string{"dead", "dead.billing", "dead.a.b", "_reply.x"} {
		body := strings.Replace(forged, `"type":"t"`, `"type":"`+typ+`"`, 1)
		if got := post(cloudevents.Handler(s), cloudevents.TypeJSON, body); got != http.StatusBadRequest || newest().Type != "t" {
			t.Errorf("type %s: status %d, and %q is stored; want 400 and nothing new", typ, got, newest().Type)
		}
	}
	if got := post(cloudevents.Handler(s), cloudevents.TypeJSON, strings.Replace(forged, `"type":"t"`, `"type":"deadline.passed"`, 1)); got != http.StatusAccepted {
		t.Errorf("type deadline.passed: status %d, want 202", got)
	}
	if got := post(cloudevents.TrustedHandler(s), cloudevents.TypeJSON, strings.Replace(forged, `"type":"t"`, `"type":"dead.g"`, 1)); got != http.StatusAccepted {
		t.Errorf("TrustedHandler: status %d, want 202", got)
	}
	if r := newest(); r.Type != "dead.g" || r.RootID != "forged" || r.ParentID != "forged" || r.Metadata["dead-parent"] != "forged" {
		t.Errorf("TrustedHandler stored %+v, want it as it was sent", r)
	}
}

func ExampleTrustedHandler() {
	ctx := context.Background()
	s, _ := event.New()
	defer s.Close(ctx)
	server := httptest.NewServer(cloudevents.TrustedHandler(s)) // in production with mutual TLS, say
	defer server.Close()

	req, _ := cloudevents.NewRequest(server.URL, &event.Record{ID: "2", Type: "order.paid", Source: "shop", RootID: "1"})
	res, err := server.Client().Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	for r := range s.Query(ctx) {
		fmt.Println(res.StatusCode, r.Type, r.RootID)
	}
	// Output: 202 order.paid 1
}

func FuzzUnmarshal(f *testing.F) {
	for _, r := range records {
		b, _ := cloudevents.Marshal(r)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := cloudevents.Unmarshal(b)
		if err != nil {
			return
		}
		again, err := cloudevents.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(again) {
			t.Fatalf("not JSON: %s", again)
		}
		if _, err := cloudevents.Unmarshal(again); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}

func FuzzHeaders(f *testing.F) {
	f.Add("1", `"quoted \" %20"`, "a%C3%BC", "application/json", []byte("{}"))
	f.Fuzz(func(t *testing.T, id, source, x, contentType string, body []byte) {
		cloudevents.FromMessage(http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {id}, "Ce-Source": {source}, "Ce-Type": {"t"}, "Ce-X": {x}, "Content-Type": {contentType}}, body)
	})
}

func ExampleMarshal() {
	b, _ := cloudevents.Marshal(&event.Record{ID: "1", Type: "order.created", Source: "shop", ContentType: "application/json", Data: []byte(`{"total":7}`)})
	fmt.Println(string(b))
	// Output: {"datacontenttype":"application/json","id":"1","source":"shop","specversion":"1.0","type":"order.created","data":{"total":7}}
}

func ExampleUnmarshal() {
	r, err := cloudevents.Unmarshal([]byte(`{"specversion":"1.0","id":"1","type":"order.created","source":"shop","data":{"total":7}}`))
	fmt.Println(r.Type, string(r.Data), err)
	// Output: order.created {"total":7} <nil>
}

func ExampleHandler() {
	ctx := context.Background()
	s, _ := event.New()
	defer s.Close(ctx)
	server := httptest.NewServer(cloudevents.Handler(s))
	defer server.Close()

	req, _ := cloudevents.NewRequest(server.URL, &event.Record{ID: "1", Type: "order.created", Source: "shop"})
	res, err := server.Client().Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	for r := range s.Query(ctx) {
		fmt.Println(res.StatusCode, r.Type)
	}
	// Output: 202 order.created
}

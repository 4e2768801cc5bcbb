package cloudevents_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/cloudevents"
)

func TestMessagesAreBounded(t *testing.T) {
	s, err := event.New(event.WithMaxBytes(8 << 20))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	server := httptest.NewServer(cloudevents.Handler(s))
	defer server.Close()
	client := server.Client()
	const max = 4 << 20
	for _, c := range []struct {
		mode string
		size int
		want int
	}{
		{"text/plain", max - 1, 202},
		{"text/plain", max, 202},
		{"text/plain", max + 1, 413},
		{cloudevents.TypeJSON, max, 202},
		{cloudevents.TypeJSON, max + 1, 413},
		{cloudevents.TypeBatch, max, 202},
		{cloudevents.TypeBatch, max + 1, 413},
	} {
		body := strings.Repeat("x", c.size)
		one := `{"specversion":"1.0","id":"1","type":"t","source":"s","data":"%s"}`
		switch c.mode {
		case cloudevents.TypeJSON:
			body = fmt.Sprintf(one, body[:c.size-len(one)+2])
		case cloudevents.TypeBatch:
			body = "[" + fmt.Sprintf(one, body[:c.size-len(one)]) + "]"
		}
		if len(body) != c.size {
			t.Fatalf("%d bytes, want %d", len(body), c.size)
		}
		req, err := http.NewRequestWithContext(t.Context(), "POST", server.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Content-Type": {c.mode}, "Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Type": {"t"}, "Ce-Source": {"s"}}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s of %d bytes: %s, want %d", c.mode, c.size, resp.Status, c.want)
		}
	}
	n := 0
	for range s.Query(t.Context()) {
		n++
	}
	if n != 4 {
		t.Errorf("%d records in the stream, want 4", n)
	}
}

// deadlines is a writer that sees which time a handler gives the body.
type deadlines struct {
	http.ResponseWriter
	set []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}

func TestSlowSendersAreCutOff(t *testing.T) {
	s, err := event.New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	w := &deadlines{ResponseWriter: httptest.NewRecorder()}
	before := time.Now()
	cloudevents.Handler(s).ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader("{}")))
	if len(w.set) != 2 || w.set[0].Before(before.Add(30*time.Second)) || w.set[0].After(time.Now().Add(30*time.Second)) || !w.set[1].IsZero() {
		t.Errorf("read deadlines %v, want one in 30 s, and none when the body is there", w.set)
	}
}

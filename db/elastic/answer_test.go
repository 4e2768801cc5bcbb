package elastic

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
)

// says answers every request with the same.
type says struct {
	status int
	body   string
}

func (s says) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: s.status, ContentLength: -1, Body: io.NopCloser(strings.NewReader(s.body))}, nil
}

// FuzzAnswers looks for an answer that is taken for a success though it says
// none, or that breaks the driver.
func FuzzAnswers(f *testing.F) {
	for _, body := range []string{
		`{"items":[{"create":{"status":201}}]}`, `{"items":[{}]}`, `{"items":[null]}`, `{"items":[{"create":{}}]}`, `{"items":[{"index":{"status":200}}]}`,
		`{"items":[{"create":{"status":409,"error":{"type":"x"}}}]}`, `{"docs":[{"found":true,"_seq_no":1,"_primary_term":1,"_source":{"id":"x","version":-1,"created":9223372036854775807,"metadata":"{\"a\":1}"}}]}`,
		`{"docs":[{"error":{"type":"index_not_found_exception"}}]}`, `{"docs":[null]}`, `{"docs":[{"found":true}]}`, `{"hits":{"hits":[{"_source":null},{"_source":{"metadata":"x","data":"AA=="}}]}}`, `{"count":-1}`,
		`{"error":"words"}`, `{"error":{"type":"a","caused_by":{"caused_by":{"reason":"deep"}},"root_cause":[{}]}}`, `{"error":[]}`, `null`, `[]`, ``,
		`{"version":{"number":"7.10"}}`, `{"things-1":{"mappings":{"_meta":{"go-platform":{"schema":2}}}}}`,
	} {
		f.Add(200, body)
		f.Add(400, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 100 || status > 999 || status == http.StatusTooManyRequests {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		c := config{client: &http.Client{Transport: says{status, body}}, response: 1 << 20}
		cl, err := newClient("a", c)
		if err != nil {
			t.Fatal(err)
		}
		d := newDriver(cl, c)
		defer d.Close()
		r := &db.Record{ID: "x", Metadata: map[string]any{"a": "b"}}
		if err := d.Put(ctx, "things", r, db.Condition{}); err == nil && (status/100 != 2 || !strings.Contains(body, `"`) || r.Version == 0) {
			t.Errorf("Create is done, says %d %q", status, body)
		}
		d.Put(ctx, "things", r, db.Condition{Must: db.Either})
		d.Delete(ctx, "things", "x", 0)
		d.Delete(ctx, "things", "x", 1)
		for _, err := range []error{
			d.Ping(ctx), d.Ensure(ctx, db.TableSpec{Name: "things"}), errorOf(d.Get(ctx, "things", "x")), errorOf(d.Count(ctx, "things", db.Filter{})),
			errorOf(d.Query(ctx, "things", db.Query{Order: []db.Order{{Key: db.FieldID}}, Limit: 2})),
		} {
			if err == nil && status/100 != 2 {
				t.Errorf("success, says %d %q", status, body)
			}
		}
	})
}

func errorOf[T any](_ T, err error) error { return err }

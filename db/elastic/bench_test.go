package elastic_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/servertest"
)

// BenchmarkOpenSearch compares with the same bulk, mget and search requests
// made by hand, of documents that hold no more than the records do.
func BenchmarkOpenSearch(b *testing.B) {
	s := &server{Server: servertest.OpenSearch(b)}
	_, tb := s.open(b, s.Addr(), "bench")
	record := func(i int) *db.Record {
		return &db.Record{ID: fmt.Sprintf("%08d", i), Metadata: map[string]any{"owner": fmt.Sprint("owner", i%100), "n": i}, Data: make([]byte, 250)}
	}
	var ops []db.Op
	for i := range 5000 {
		ops = append(ops, db.CreateOp(record(i)))
	}
	if err := tb.Batch(b.Context(), ops...); err != nil {
		b.Fatal(err)
	}
	raw := func(b *testing.B, method, path, body string) {
		req, err := http.NewRequestWithContext(b.Context(), method, "http://"+s.Addr()+path, bytes.NewReader([]byte(body)))
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-ndjson")
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode/100 != 2 {
			b.Fatal(resp, err)
		}
		var v map[string]any
		err = json.NewDecoder(resp.Body).Decode(&v)
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || v["errors"] == true {
			b.Fatal(v, err)
		}
	}
	raw(b, "PUT", "/raw", `{"settings":{"number_of_replicas":0},"mappings":{"properties":{"owner":{"type":"keyword"},"n":{"type":"long"},"data":{"type":"binary"}}}}`)
	document := func(i int) string {
		d, _ := json.Marshal(map[string]any{"owner": fmt.Sprint("owner", i%100), "n": i, "data": make([]byte, 250)})
		return fmt.Sprintf("{\"create\":{\"_id\":\"%08d\"}}\n%s\n", i, d)
	}
	var all bytes.Buffer
	for i := range 5000 {
		all.WriteString(document(i))
	}
	raw(b, "POST", "/raw/_bulk?refresh=true", all.String())
	next := 1_000_000
	for _, c := range []struct {
		name      string
		ours, raw func(b *testing.B)
	}{
		{"create", func(b *testing.B) { next++; must(b, tb.Create(b.Context(), record(next))) },
			func(b *testing.B) { next++; raw(b, "POST", "/raw/_bulk", document(next)) }},
		{"read", func(b *testing.B) { next++; _, err := tb.Read(b.Context(), record(next%5000).ID); must(b, err) },
			func(b *testing.B) {
				next++
				raw(b, "POST", "/raw/_mget", fmt.Sprintf(`{"ids":["%08d"]}`, next%5000))
			}},
		{"search20of50", func(b *testing.B) {
			_, err := tb.Search(b.Context(), db.Where(db.Equal("owner", "owner7"), db.Less("n", 5000)), db.OrderBy("-n"), db.Limit(20))
			must(b, err)
		}, func(b *testing.B) {
			raw(b, "POST", "/raw/_search", `{"size":21,"query":{"bool":{"filter":[{"term":{"owner":"owner7"}},{"range":{"n":{"lt":5000}}}]}},"sort":[{"n":"desc"}],"track_total_hits":false}`)
		}},
	} {
		b.Run(c.name+"/raw", func(b *testing.B) {
			for b.Loop() {
				c.raw(b)
			}
		})
		b.Run(c.name+"/db", func(b *testing.B) {
			for b.Loop() {
				c.ours(b)
			}
		})
	}
	http.DefaultClient.CloseIdleConnections()
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

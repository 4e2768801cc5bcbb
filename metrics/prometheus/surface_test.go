package prometheus_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/prometheus"
)

// Many scrapers at once, with headers and bodies of any size, get the same page
// and change nothing of it.
func TestScrapersChangeNothing(t *testing.T) {
	m, err := metrics.New()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(context.Background())
	c := m.Counter("calls")
	c.Add(7)
	s := httptest.NewServer(prometheus.Handler(m))
	defer s.Close()
	scrape := func(method, query, accept string, body io.Reader) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/metrics?"+query, body)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		req.Header.Set("Accept", accept)
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		return resp.StatusCode, string(b)
	}
	_, first := scrape("GET", "", "text/plain", nil)
	if !strings.Contains(first, "calls_total 7") {
		t.Fatalf("got %s", first)
	}
	var group sync.WaitGroup
	for i := range 100 {
		group.Go(func() {
			code, body := scrape("GET", "name[]="+strings.Repeat("x", 100*i), "text/plain"+strings.Repeat(", a/b;q=0.1", 500*i), strings.NewReader(strings.Repeat("x", 1000*i)))
			if code != http.StatusOK || !strings.Contains(body, "calls_total 7") || len(body) > len(first)+100 {
				t.Errorf("scraper %d: %d, %d bytes", i, code, len(body))
			}
		})
	}
	group.Wait()
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
		if code, _ := scrape(method, "", "", strings.NewReader("calls_total 8")); code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, code)
		}
	}
}

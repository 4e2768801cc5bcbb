package issuer_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Forms are bounded at every endpoint that takes one: below, at and above.
func TestFormsAreBounded(t *testing.T) {
	is := browser(t, newIssuer(t))
	s := httptest.NewServer(is)
	defer s.Close()
	const most = 64 << 10
	for _, path := range []string{"/token", "/introspect", "/revoke", "/authorize"} {
		for size, taken := range map[int]bool{most - 1: true, most: true, most + 1: false, 40 * most: false} {
			const form = "grant_type=client_credentials&token=x&x="
			req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+path, strings.NewReader(form+strings.Repeat("x", size-len(form))))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.SetBasicAuth("orders", "orders-secret")
			resp, err := s.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body := make([]byte, 500)
			n, _ := resp.Body.Read(body)
			resp.Body.Close()
			if refused := strings.Contains(string(body[:n]), "the form can't be read"); refused == taken {
				t.Errorf("%s, %d bytes: %s %.200s", path, size, resp.Status, body[:n])
			}
		}
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

func TestSlowFormsAreCutOff(t *testing.T) {
	is := browser(t, newIssuer(t))
	w := &deadlines{ResponseWriter: httptest.NewRecorder()}
	r := httptest.NewRequest("POST", "/token", strings.NewReader("grant_type=x"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	before := time.Now()
	is.ServeHTTP(w, r)
	if len(w.set) != 2 || w.set[0].Before(before.Add(15*time.Second)) || w.set[0].After(time.Now().Add(15*time.Second)) || !w.set[1].IsZero() {
		t.Errorf("read deadlines %v, want one in 15 s, and none when the form is there", w.set)
	}
}

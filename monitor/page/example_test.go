package page_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/monitor/page"
)

// A service mounts the page where its operators find it.
func ExampleNew() {
	mo, err := monitor.New(monitor.WithService("orders"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer mo.Close(context.Background())
	mux := http.NewServeMux()
	// snippet: mount
	p, err := page.New(mo, page.WithAccess(func(r *http.Request) page.Access {
		if _, password, _ := r.BasicAuth(); password == "letmein" { // or what auth says
			return page.Write
		}
		return page.None
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	mux.Handle("/debug/platform/", http.StripPrefix("/debug/platform", p))
	// end snippet

	r := httptest.NewRequest("GET", "/debug/platform/", nil)
	stranger := httptest.NewRecorder()
	mux.ServeHTTP(stranger, r)
	r.SetBasicAuth("op", "letmein")
	operator := httptest.NewRecorder()
	mux.ServeHTTP(operator, r)
	fmt.Println(stranger.Code, operator.Code)
	// Output: 403 200
}

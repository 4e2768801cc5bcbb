package page_test

import (
	"context"
	"crypto/subtle"
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
	p, err := page.New(mo, page.WithLogin(func(user, password string) page.Access { // or page.WithAuth(au)
		if user == "op" && subtle.ConstantTimeCompare([]byte(password), []byte("letmein")) == 1 {
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
	// Output: 401 200
}

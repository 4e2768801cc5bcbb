package main

import (
	"context"
	_ "embed"
	"errors"
	"html/template"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/examples/shop/shoppb"
	"github.com/micro/go-platform/monitor/page"
	"github.com/micro/go-platform/wrapper"
	wgrpc "github.com/micro/go-platform/wrapper/grpc"
)

// frontend is what shoppers reach: it asks the other services by their names.
type frontend struct {
	log       *slog.Logger
	client    *http.Client
	catalogue shoppb.CatalogueClient
	payment   shoppb.PaymentClient
	features  *config.Binding[Features]
}

//go:embed index.html
var index string

var indexPage = template.Must(template.New("index").Funcs(template.FuncMap{
	"price": func(cents int64) float64 { return float64(cents) / 100 },
}).Parse(index))

func runFrontend(ctx context.Context, s *shop, in instance) error {
	app, err := s.app(ctx, in, platform.WithWrapper(
		wrapper.WithEdge(), // what strangers send beside their request is not believed
		wrapper.WithPublic(func(*wrapper.Call) bool { return true }), // and they need no token
		wrapper.WithKey(shopper)))                                    // each sees the same version of a service
	if err != nil {
		return err
	}
	credentials := grpc.WithTransportCredentials(insecure.NewCredentials())
	catalogue, err1 := wgrpc.NewClient(app.Wrapper(), "catalogue", credentials)
	payment, err2 := wgrpc.NewClient(app.Wrapper(), "payment", credentials)
	features, err3 := config.Bind[Features](s.config, "features")
	operators, err4 := page.New(app.Monitor(), page.WithTitle("shop"), page.WithDiscovery(app.Discovery()), page.WithRouter(app.Router()),
		page.WithTrace(app.Trace()), page.WithEvents(app.Event()), page.WithConfig(s.config), page.WithDocuments(s.settings),
		page.WithSync(app.Sync()), page.WithLog(app.Log()),
		page.WithAccess(operator))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return errors.Join(err, app.Close(ctx))
	}
	defer catalogue.Close()
	defer payment.Close()
	defer features.Close()
	defer operators.Close()
	l := app.Logger("http")
	f := &frontend{l, app.Client(), shoppb.NewCatalogueClient(catalogue), shoppb.NewPaymentClient(payment), features}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", f.home)
	mux.HandleFunc("GET /carts/{user}", handle(l, known(f.cart)))
	mux.HandleFunc("PUT /carts/{user}/{product}", handle(l, known(f.pick)))
	mux.HandleFunc("PUT /orders/{user}/{id}", handle(l, known(f.order)))
	mux.HandleFunc("GET /orders/{user}/{id}", handle(l, known(f.status)))
	// What operators look at has a port of its own. Without Ops, /metrics and the
	// probes would be on the shoppers' port.
	ops := platform.Ops("", func(s *http.Server) { s.Handler = operators })
	return app.Run(ctx, platform.Listener(in.listener, platform.HTTP("", mux)), platform.Listener(in.ops, ops))
}

// operator allows everything to requests from this machine, and nothing to others.
// Behind a proxy every request comes from the proxy: ask for a login there.
func operator(r *http.Request) page.Access {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return page.None
	}
	return page.Write
}

// Home is what there is to buy.
type Home struct {
	Banner    string            `json:"banner"`
	Discount  int               `json:"discount"`
	Catalogue string            `json:"catalogue"` // the version that answered
	Products  []*shoppb.Product `json:"products"`
}

func (f *frontend) home(rw http.ResponseWriter, r *http.Request) {
	list := func(r *http.Request) (any, error) {
		all, err := f.catalogue.List(as(r, r.FormValue("user")).Context(), &shoppb.ListRequest{})
		if err != nil {
			return nil, err
		}
		now := f.features.Load()
		return Home{now.Banner, now.Discount, all.Version, all.Products}, nil
	}
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		handle(f.log, list)(rw, r)
		return
	}
	v, err := list(r)
	if err != nil {
		f.log.WarnContext(r.Context(), "request failed", "error", err)
		http.Error(rw, "The catalogue can't be shown now.", http.StatusServiceUnavailable)
		return
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = indexPage.Execute(rw, v)
}

func (f *frontend) cart(r *http.Request) (any, error) {
	var cart Cart
	return &cart, ask(r.Context(), f.client, http.MethodGet, at("cart", "carts", r.PathValue("user")), nil, &cart)
}

func (f *frontend) pick(r *http.Request) (any, error) {
	var count int64
	if err := decode(r, &count); err != nil {
		return nil, bad("want a number")
	}
	var cart Cart
	return &cart, ask(r.Context(), f.client, http.MethodPut, at("cart", "carts", r.PathValue("user"), r.PathValue("product")), count, &cart)
}

// order places what is in the cart as the order of an id, and empties the cart.
// It may be sent twice: the order is placed once.
func (f *frontend) order(r *http.Request) (any, error) {
	user, id := r.PathValue("user"), r.PathValue("id")
	var order Order
	order.User = user
	if err := ask(r.Context(), f.client, http.MethodGet, at("cart", "carts", user), nil, &order.Items); err != nil {
		return nil, err
	}
	if len(order.Items) == 0 { // perhaps it was ordered already
		return f.status(r)
	}
	var placed Order
	if err := ask(r.Context(), f.client, http.MethodPut, at("orders", "orders", id), order, &placed); err != nil {
		return nil, err
	}
	if !maps.Equal(placed.Items, order.Items) { // it was placed before, and this is picked since
		return placed, nil
	}
	return placed, ask(r.Context(), f.client, http.MethodDelete, at("cart", "carts", user), nil, nil)
}

// Status is what a shopper sees of an order.
type Status struct {
	Order
	Receipt *shoppb.Receipt `json:"receipt,omitempty"` // when there is one
}

func (f *frontend) status(r *http.Request) (any, error) {
	var s Status
	if err := ask(r.Context(), f.client, http.MethodGet, at("orders", "orders", r.PathValue("id")), nil, &s.Order); err != nil {
		return nil, err
	}
	if s.User != r.PathValue("user") {
		return nil, &failure{http.StatusNotFound, "no such order"}
	}
	if receipt, err := f.payment.Find(r.Context(), &shoppb.Order{Id: r.PathValue("id")}); err == nil && receipt.Order != "" { // else the order is shown without
		s.Receipt = receipt
	}
	return s, nil
}

// at is the address of something in a service, which is called by its name.
func at(service string, path ...string) string {
	for i := range path {
		path[i] = url.PathEscape(path[i])
	}
	return "http://" + service + "/" + strings.Join(path, "/")
}

type userKey struct{}

// as says for whom a request is.
func as(r *http.Request, user string) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), userKey{}, user))
}

// known is f for the user of the path.
func known(f func(*http.Request) (any, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) { return f(as(r, r.PathValue("user"))) }
}

// shopper is the key by which the router keeps a user's calls together.
func shopper(ctx context.Context) string {
	user, _ := ctx.Value(userKey{}).(string)
	return user
}

package kubernetes_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/configtest"
	"github.com/micro/go-platform/config/kubernetes"
	"github.com/micro/go-platform/config/toml"
	"github.com/micro/go-platform/config/yaml"
	engine "github.com/micro/go-platform/engine/kubernetes"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// cluster is an API server as an operator sees it, in one namespace.
type cluster struct {
	t  *testing.T
	k  *servertest.KubeServer
	ns string
}

func newCluster(t *testing.T) *cluster {
	k := servertest.SharedKubernetes(t)
	return &cluster{t, k, k.Namespace(t)}
}

// reader is the address for a service account that may read these objects only.
func (c *cluster) reader(addr, account string, resource string, verbs []string, names ...string) string {
	token := c.k.Token(c.t, c.ns, account, servertest.KubeRule{Resources: []string{resource}, Verbs: verbs, Names: names})
	return "kubeconfig:" + c.k.Kubeconfig(c.t, addr, token, c.ns)
}

func (c *cluster) admin() string {
	return "kubeconfig:" + c.k.Kubeconfig(c.t, c.k.Addr(), servertest.KubeAdmin, c.ns)
}

func (c *cluster) engine(opts ...engine.Option) *engine.Engine {
	e, err := engine.Open(c.admin(), opts...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { e.Close() })
	return e
}

func (c *cluster) path(resource, name string) string {
	return "/api/v1/namespaces/" + c.ns + "/" + resource + "/" + name
}

// put makes or replaces an object; the values of a Secret come in clear.
func (c *cluster) put(resource, name string, data map[string]string, more string) {
	c.t.Helper()
	field, values := "data", map[string]string{}
	for k, v := range data {
		if values[k] = v; resource == "secrets" {
			values[k] = base64.StdEncoding.EncodeToString([]byte(v))
		}
	}
	text, err := json.Marshal(values)
	if err != nil {
		c.t.Fatal(err)
	}
	body := fmt.Sprintf(`{"metadata":{"name":%q},%q:%s%s}`, name, field, text, more)
	if strings.Contains(c.k.Do(c.t, http.MethodGet, c.path(resource, ""), ""), `"name":"`+name+`"`) {
		c.k.Do(c.t, http.MethodPut, c.path(resource, name), body)
		return
	}
	c.k.Do(c.t, http.MethodPost, c.path(resource, ""), body)
}

func (c *cluster) delete(resource, name string) {
	c.k.Do(c.t, http.MethodDelete, c.path(resource, name), "")
}

func open(t *testing.T, opts ...config.Option) config.Config {
	t.Helper()
	cfg, err := config.New(append(opts, config.WithDebounce(time.Millisecond))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cfg.Close() })
	return cfg
}

func TestSourceConforms(t *testing.T) {
	for _, kind := range []string{"configmap", "secret"} {
		t.Run(kind, func(t *testing.T) { // not in parallel: each case looks for leaks
			configtest.Run(t, func(t *testing.T) configtest.Harness {
				c := newCluster(t)
				proxy := netfault.New(t, c.k.Addr())
				addr := c.reader(proxy.Addr(), "reader", kind+"s", []string{"get", "list", "watch"}, "app")
				return configtest.Harness{
					Source:       func() config.Source { return kubernetes.Source(addr, kind+"/app") },
					Set:          func(doc string) { c.put(kind+"s", "app", map[string]string{"app.json": doc}, "") },
					Delete:       func() { c.delete(kind+"s", "app") },
					Down:         func() { proxy.Refuse(); proxy.Reset() },
					Up:           proxy.Heal,
					Requests:     func() int { return proxy.Counts().Requests },
					Idle:         2 * time.Second,
					IdleRequests: 1,
				}
			})
		})
	}
}

func TestKeysAreDocumentsOrPaths(t *testing.T) {
	c := newCluster(t)
	e := c.engine()
	formats := []kubernetes.Option{kubernetes.WithFormat(yaml.Format{}), kubernetes.WithFormat(toml.Format{})}
	secretly := base64.StdEncoding.EncodeToString([]byte{0xff, 0xfe})
	for name, test := range map[string]struct {
		data map[string]string
		more string
		opts []kubernetes.Option
		want string // "": ErrInvalid, and the error holds …
		says string
	}{
		"paths":          {map[string]string{"server.addr": ":80\n", "limit": "7", "log_level": "debug\r\n"}, "", nil, `{"limit":"7","log_level":"debug","server":{"addr":":80"}}`, ""},
		"documents":      {map[string]string{"a.yaml": "a: 1\nb: 1", "b.JSON": `{"b":2}`, "c.toml": "c = 3"}, "", formats, `{"a":1,"b":2,"c":3}`, ""},
		"both":           {map[string]string{"z.yaml": "a: {b: 1, c: 1}", "a.b": "2"}, "", formats, `{"a":{"b":"2","c":1}}`, ""},
		"below a path":   {map[string]string{"a.json": `{"x":1}`, "y": "2"}, "", []kubernetes.Option{kubernetes.WithPath("deep.er")}, `{"deep":{"er":{"x":1,"y":"2"}}}`, ""},
		"some keys":      {map[string]string{"a": "1", "b": "2", "bad.yaml": "%"}, "", []kubernetes.Option{kubernetes.WithKeys("a"), kubernetes.WithKeys("none")}, `{"a":"1"}`, ""},
		"odd names":      {map[string]string{".hidden": "1", "a..b": "2", "end.": "3"}, "", nil, `{".hidden":"1","a..b":"2","end.":"3"}`, ""},
		"binary":         {map[string]string{"a": "1"}, `,"binaryData":{"store":"` + secretly + `","t":"aGk="}`, nil, `{"a":"1","store":"` + secretly + `","t":"hi"}`, ""},
		"immutable":      {map[string]string{"a": "1"}, `,"immutable":true`, nil, `{"a":"1"}`, ""},
		"no format":      {map[string]string{"app.yaml": "a: 1"}, "", nil, "", "WithFormat"},
		"one in another": {map[string]string{"a": "1", "a.b": "2"}, "", nil, "", "can't hold the other"},
		"beside another": {map[string]string{"a": "1", "ab.b": "2", "a-b": "3"}, "", nil, `{"a":"1","a-b":"3","ab":{"b":"2"}}`, ""},
		"malformed":      {map[string]string{"a.json": "{"}, "", nil, "", "a.json"},
		"no object":      {map[string]string{"a.json": "[1]"}, "", []kubernetes.Option{kubernetes.WithPath("x")}, "", "want object"},
	} {
		t.Run(name, func(t *testing.T) {
			object := strings.ReplaceAll(name, " ", "-")
			c.put("configmaps", object, test.data, test.more)
			cfg, err := config.New(config.WithSource(kubernetes.On(e, "configmap/"+object, test.opts...)))
			if test.want == "" {
				if !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), test.says) {
					t.Errorf("New = %v, want invalid and %q", err, test.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer cfg.Close()
			if got := string(cfg.Snapshot().Bytes()); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestSingleValuesBecomeWhatIsAskedFor(t *testing.T) {
	c := newCluster(t)
	c.put("configmaps", "app", map[string]string{"limit": "7", "on": "true", "wait": "3s", "key": "aGk="}, "")
	cfg := open(t, config.WithSource(kubernetes.Source(c.admin(), "configmap/app")))
	var got struct {
		Limit int
		On    bool
		Wait  time.Duration
		Key   []byte
	}
	if err := cfg.Get("").Scan(&got); err != nil || got.Limit != 7 || !got.On || got.Wait != 3*time.Second || string(got.Key) != "hi" {
		t.Errorf("got %+v, %v", got, err)
	}
	if o, _ := cfg.Snapshot().Origin("limit"); o.Part != "limit" || o.Revision == "" || !strings.Contains(o.Source, "configmap/app") {
		t.Errorf("Origin: %+v", o)
	}
}

// Nothing that came from a Secret is shown, whatever its key: not on the page's
// way, not in errors, also after a start with the last-known-good file.
func TestNothingOfASecretIsShown(t *testing.T) {
	c := newCluster(t)
	const hidden = "hunter2"
	c.put("secrets", "app", map[string]string{"colour": hidden, "app.json": `{"deep":{"list":["` + hidden + `",{"x":"` + hidden + `"}],"n":31337}}`, "ssl.crt": hidden}, "")
	c.put("configmaps", "app", map[string]string{"shape": "round"}, "")
	proxy := netfault.New(t, c.k.Addr())
	saved := filepath.Join(t.TempDir(), "good.json")
	addr := "kubeconfig:" + c.k.Kubeconfig(t, proxy.Addr(), servertest.KubeAdmin, c.ns)
	start := func(more ...config.Option) config.Config {
		t.Helper()
		return open(t, append(more, config.WithSource(kubernetes.Source(addr, "configmap/app")), config.WithSource(kubernetes.Source(addr, "secret/app", kubernetes.WithPath("s"))),
			config.WithLastKnownGood(saved, 0))...)
	}
	check := func(what string, cfg config.Config) {
		t.Helper()
		s := cfg.Snapshot()
		out := s.String() + fmt.Sprintf("%v %+v %q", s, s.Get(""), s.Get("s")) + s.Get("s.deep").Show()
		for path, v := range s.All() {
			out += path + v.Show() + fmt.Sprint(v.Scan(new(struct{ X bool })), v.Scan(new(bool)))
		}
		for _, ch := range config.Diff(config.Value{}, s.Get("")) {
			out += ch.String()
		}
		_ = s.Get("s.colour").Int(0)
		out += fmt.Sprintf("%+v", cfg.Health())
		if strings.Contains(out, hidden) || strings.Contains(out, "31337") {
			t.Errorf("%s: a secret is shown: %s", what, out)
		}
		if !strings.Contains(out, "round") || !strings.Contains(out, "colour") {
			t.Errorf("%s: what is no secret isn't shown: %s", what, out)
		}
		if s.Get("s.colour").String("") != hidden || s.Get("s.deep.n").Int(0) != 31337 || s.Get("s.ssl.crt").String("") != hidden {
			t.Errorf("%s: the values are not there", what)
		}
	}
	cfg := start()
	check("live", cfg)
	c.put("secrets", "app", map[string]string{"colour": hidden, "app.json": `{"` + hidden + `": 1, "` + hidden + `": 2}`}, "") // malformed: errors quote
	configtest.Eventually(t, 30*time.Second, "Health says invalid", func() bool { return errors.Is(cfg.Health().Err(), config.ErrInvalid) })
	if err := cfg.Health().Err(); strings.Contains(err.Error(), hidden) {
		t.Errorf("an error shows a secret: %v", err)
	}
	if err := cfg.Close(); err != nil {
		t.Fatal(err)
	}
	proxy.Refuse()
	proxy.Reset()
	cfg = start(config.WithTimeout(time.Second))
	if cfg.Health().Restored.IsZero() {
		t.Fatal("the last-known-good file was not used")
	}
	check("restored", cfg)
}

func TestChangesArriveThoughPollingIsSetToAnHour(t *testing.T) {
	c := newCluster(t)
	e := c.engine()
	c.put("configmaps", "app", map[string]string{"n": "1"}, "")
	c.put("secrets", "app", map[string]string{"s": "1"}, "")
	cfg := open(t, config.WithSource(kubernetes.On(e, "configmap/app"), config.Poll(time.Hour)), config.WithSource(kubernetes.On(e, "secret/app"), config.Poll(time.Hour)))
	for n := 2; n < 5; n++ {
		c.put("configmaps", "app", map[string]string{"n": fmt.Sprint(n)}, "")
		c.put("secrets", "app", map[string]string{"s": fmt.Sprint(n)}, "")
		configtest.Eventually(t, 30*time.Second, "both changes", func() bool { return cfg.Get("n").Int(0) == n && cfg.Get("s").Int(0) == n })
	}
}

// Another namespace is read only where it is asked for.
func TestNamespaces(t *testing.T) {
	c := newCluster(t)
	other := &cluster{t, c.k, c.k.Namespace(t)}
	c.put("configmaps", "app", map[string]string{"n": "here"}, "")
	other.put("configmaps", "app", map[string]string{"n": "there"}, "")
	e := c.engine()
	if got := open(t, config.WithSource(kubernetes.On(e, "configmap/app"))).Get("n").String(""); got != "here" {
		t.Errorf("got %q", got)
	}
	if got := open(t, config.WithSource(kubernetes.On(e, "ConfigMap/app", kubernetes.WithNamespace(other.ns)))).Get("n").String(""); got != "there" {
		t.Errorf("got %q", got)
	}
}

func TestMissingRightsAreDenied(t *testing.T) {
	c := newCluster(t)
	c.put("secrets", "app", map[string]string{"s": "1"}, "")
	for name, test := range map[string]struct {
		verbs  []string
		object string
		denied bool
	}{
		"all":     {[]string{"get", "list", "watch"}, "app", false},
		"another": {[]string{"get", "list", "watch"}, "other", true},
		"no-get":  {[]string{"list", "watch"}, "app", true},
	} {
		addr := c.reader(c.k.Addr(), name, "secrets", test.verbs, test.object)
		cfg, err := config.New(config.WithSource(kubernetes.Source(addr, "secret/app")))
		if errors.Is(err, config.ErrDenied) != test.denied || (err == nil) == test.denied {
			t.Errorf("%s: %v, want denied %t", name, err, test.denied)
		}
		if err == nil {
			cfg.Close()
		}
	}
	cfg := open(t, config.WithSource(kubernetes.Source(c.reader(c.k.Addr(), "no-watch", "secrets", []string{"get", "list"}, "app"), "secret/app")))
	configtest.Eventually(t, 30*time.Second, "Health says that it can't watch", func() bool {
		return errors.Is(cfg.Health().Err(), config.ErrDenied) && strings.Contains(cfg.Health().Err().Error(), "cannot watch")
	})
}

func TestBadArgumentsAreErrorsOfNew(t *testing.T) {
	const addr = "https://127.0.0.1:1"
	for name, s := range map[string]config.Source{
		"address": kubernetes.Source("ftp://me:hunter2@x", "configmap/a"), "no object": kubernetes.Source(addr, ""), "no name": kubernetes.Source(addr, "secret/"),
		"kind": kubernetes.Source(addr, "pod/a"), "name": kubernetes.Source(addr, "secret/A_b"), "option": kubernetes.Source(addr, "secret/a", nil), "engine": kubernetes.On(nil, "secret/a"),
		"format": kubernetes.Source(addr, "secret/a", kubernetes.WithFormat(nil)), "namespace": kubernetes.Source(addr, "secret/a", kubernetes.WithNamespace("A")),
		"keys": kubernetes.Source(addr, "secret/a", kubernetes.WithKeys()), "path": kubernetes.Source(addr, "secret/a", kubernetes.WithPath("a..b")), "empty path": kubernetes.Source(addr, "secret/a", kubernetes.WithPath("")),
	} {
		_, err := config.New(config.WithSource(s))
		if !errors.Is(err, config.ErrInvalid) || strings.Contains(fmt.Sprint(err), "hunter2") {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	_, err := config.New(config.WithSource(kubernetes.Source(addr, "secret/a")), config.WithTimeout(time.Second))
	if !errors.Is(err, config.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("nobody listens: got %v, want ErrUnavailable with the address", err)
	}
}

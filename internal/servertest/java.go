package servertest

import (
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// javaStarts is long because two cores may be compiling elsewhere meanwhile.
const javaStarts = 2 * time.Minute

// java returns the flags that make a JVM start fast and stay small. What it loads is what we
// installed: it is not verified, which is a tenth of a start.
func java(heap string, more ...string) []string {
	return append([]string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
		"-XX:+IgnoreUnrecognizedVMOptions", "-XX:+UnlockDiagnosticVMOptions", "-XX:-BytecodeVerificationRemote", "-Xmx" + heap}, more...)
}

func jars(server string) string { return filepath.Join(Cache(), "java", server) }

// Zipkin starts Zipkin's own server with its store in memory, 200 MB of it, ready after three
// seconds. It takes spans at /api/v2/spans and shows traces at /api/v2/trace/ID.
func Zipkin(t testing.TB, opts ...Option) *Server {
	t.Helper()
	jar, _ := filepath.Glob(filepath.Join(jars("zipkin"), "zipkin-server-*-exec.jar"))
	if len(jar) == 0 {
		jar = []string{"missing"}
	}
	return start(t, collect(opts), spec{
		name: "zipkin", part: "zipkin", program: "java", files: jar, ports: []string{"http"},
		env: []string{"STORAGE_TYPE=mem"},
		args: func(s *Server) []string {
			return java("192m",
				"-Dspring.main.lazy-initialization=true",
				"-Darmeria.ports[0].ip=127.0.0.1", "-Darmeria.ports[0].port="+strconv.Itoa(s.Port("http")), "-Darmeria.ports[0].protocols[0]=http",
				"-jar", jar[0])
		},
		ready: answers("http", "/health", `"UP"`),
		limit: javaStarts,
	})
}

// SharedZipkin returns the test binary's Zipkin server.
func SharedZipkin(t testing.TB) *Server {
	t.Helper()
	return share(t, "zipkin", Zipkin)
}

// OpenSearch starts OpenSearch as a single node without security, 300 MB, ready after four
// seconds. It keeps its data over Restart.
func OpenSearch(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return start(t, collect(opts), singleNode("opensearch"))
}

// Elasticsearch starts Elasticsearch 7.10, as OpenSearch does.
func Elasticsearch(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return start(t, collect(opts), singleNode("elasticsearch"))
}

func singleNode(name string) spec {
	return spec{
		name: name, part: name, program: "java", files: []string{jars(name) + "/SingleNode.class"},
		ports: []string{"http", "transport"}, dsn: "http://%s",
		args: func(s *Server) []string {
			return java("384m", "-cp", jars(name)+":"+jars(name)+"/*", "SingleNode",
				s.dir, strconv.Itoa(s.Port("http")), strconv.Itoa(s.Port("transport")))
		},
		ready: answers("http", "/_cluster/health", `"number_of_nodes":1`), kept: true,
		limit: javaStarts,
	}
}

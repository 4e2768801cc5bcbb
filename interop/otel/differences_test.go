package otel

// differences are those that are meant, each with its reason; * stands for
// anything. "OTel" is otelhttp 0.72.0 and otelgrpc 0.72.0.
var differences = []difference{
	{"metric http.*.body.size: *", "", "*", "opt-in in the conventions; a histogram for each would cost every call"},
	{"metric http.server.active_requests: *", "*", "", "in the conventions; OTel doesn't have it"},
	{"metric platform.*", "*", "", "ours: no convention"},
	{"metric http.*.request.duration: network.protocol.name", "", "http", "the conventions ask for it if it is not http"},
	{"metric http.client.request.duration: url.scheme", "", "http", "opt-in in the conventions"},
	{"metric http.server.request.duration: server.*", "", "*", "opt-in in the conventions, with a warning: the Host header is the caller's choice"},
	{"metric http.client.request.duration: error.type", "404 500 unsent", "net.OpError", "the conventions ask for the status code of what failed by it; that of no answer is the router's class, of which there are few"},
	{"metric http.server.request.duration: error.type", "500", "", "the conventions ask for it of what failed"},

	{"span *: platform.*", "*", "", "ours: no convention"},
	{"span client *: service.peer.name", "*", "", "in the conventions; service maps are drawn by it"},
	{"span client *: name", "GET", "HTTP GET", "the conventions' name is the method alone; OTel keeps the name that it had"},
	{"span client _OTHER *: name", "HTTP", "HTTP BREW", "a name must be one of few"},
	{"span client GET /users/17: url.full", "http://127.0.0.1:PORT/users/17", "http://127.0.0.1:PORT/users/17?token=s3cret", "queries carry secrets"},
	{"span client GET /nobody: error.type", "unsent", "*net.OpError", "the router's class: whether it may be sent again"},
	{"span client GET /nobody: network.protocol.version", "", "1.1", "nobody spoke it"},
	{"span server *: http.response.body.size", "", "*", "opt-in in the conventions"},
	{"span server *: http.route", "/*", "", "in the conventions; OTel's span is named before the mux has matched"},
	{"span server GET /fail: error.type", "500", "", "the conventions ask for it of what failed"},
	{"span * rpc *: error.type", "*", "", "the conventions ask for it of what failed"},
	{"span server rpc *: client.address", "127.0.0.1", "", "as for HTTP"},
	{"span server rpc *: network.peer.*", "*", "", "in the conventions"},
}

package db_test

import (
	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
)

// What package db looks for in drivers is what package db/driver describes: this
// compiles only if each interface has the methods of its twin.
var (
	_ = []db.Batcher{dbdriver.Batcher(nil)}
	_ = []dbdriver.Batcher{db.Batcher(nil)}
	_ = []db.Executor{dbdriver.Executor(nil)}
	_ = []dbdriver.Executor{db.Executor(nil)}
	_ = []db.Explainer{dbdriver.Explainer(nil)}
	_ = []dbdriver.Explainer{db.Explainer(nil)}
	_ = []db.Indexer{dbdriver.Indexer(nil)}
	_ = []dbdriver.Indexer{db.Indexer(nil)}
	_ = []db.Operations{dbdriver.Operations(nil), db.Driver(nil)}
	_ = []dbdriver.Operations{db.Operations(nil), db.Driver(nil)}
	_ = []db.Transactor{dbdriver.Transactor(nil)}
	_ = []dbdriver.Transactor{db.Transactor(nil)}
	_ = []db.Transaction{dbdriver.Transaction(nil)}
	_ = []dbdriver.Transaction{db.Transaction(nil)}
)

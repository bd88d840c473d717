package console

import "github.com/chromedp/cdproto/runtime"

// awaitPromise makes an evaluation wait for what it promises.
func awaitPromise(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

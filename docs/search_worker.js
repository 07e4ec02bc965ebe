// The search of a site that is opened from a disk. Browsers start no worker from a
// file, so here a hidden frame runs the script instead. Loaded in place of a script
// that Material's plugin `offline` would fetch from the network. The search asks for
// the name `IFrameWorker`.
window.IFrameWorker = class extends EventTarget {
  constructor(url) {
    super();
    const frame = document.createElement("iframe");
    frame.hidden = true;
    document.body.append(frame);
    const inner = frame.contentWindow;
    // What the script calls as a worker.
    inner.postMessage = (data) => {
      this.dispatchEvent(new MessageEvent("message", { data }));
    };
    inner.importScripts = async (...urls) => {
      for (const each of urls) await this.load(each);
    };
    this.frame = frame;
    this.loaded = this.load(url);
  }

  load(url) {
    const { contentDocument } = this.frame;
    const script = contentDocument.createElement("script");
    script.src = url;
    return new Promise((resolve, reject) => {
      script.onload = resolve;
      script.onerror = () => reject(new Error(`Not loaded: ${url}`));
      contentDocument.body.append(script);
    });
  }

  async postMessage(data) {
    await this.loaded;
    const { contentWindow } = this.frame;
    contentWindow.dispatchEvent(new contentWindow.MessageEvent("message", { data }));
  }

  terminate() {
    this.frame.remove();
  }
};

if (location.protocol === "file:") window.Worker = window.IFrameWorker;

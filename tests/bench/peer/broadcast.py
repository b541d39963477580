"""WebSockets to which everything goes that is posted: the connection manager of FastAPI's manual."""

from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect

app = FastAPI()
listeners: list[WebSocket] = []


@app.websocket("/listen")
async def listen(socket: WebSocket):
    await socket.accept()
    listeners.append(socket)
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnect:
        listeners.remove(socket)


@app.post("/say")
async def say(request: Request):
    text = (await request.body()).decode()
    for socket in list(listeners):
        await socket.send_text(text)

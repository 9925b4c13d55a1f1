<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1">
<context>
    <name>Api</name>
    <message>
        <source>The FUSAR-GPT plugin is not enabled. Enable it in the plugin manager first.</source>
        <translation>FUSAR-GPT 插件未启用。请先在插件管理器中启用它。</translation>
    </message>
    <message>
        <source>There is nothing to add yet: wait for the signal “finished”.</source>
        <translation>还没有可添加的内容：请等待信号“finished”。</translation>
    </message>
    <message>
        <source>The layer was removed before its interpretation began.</source>
        <translation>图层在解译开始之前已被移除。</translation>
    </message>
    <message>
        <source>The backend gave no reason. Look at its log.</source>
        <translation>后端未说明原因。请查看其日志。</translation>
    </message>
</context>
<context>
    <name>AreaMenu</name>
    <message>
        <source>Draw a &amp;Rectangle</source>
        <translation>绘制矩形(&amp;R)</translation>
    </message>
</context>
<context>
    <name>AreaPicker</name>
    <message>
        <source>&amp;Scene</source>
        <translation>影像(&amp;S)</translation>
    </message>
    <message>
        <source>About</source>
        <translation>关于</translation>
    </message>
    <message>
        <source>&amp;View</source>
        <translation>视图(&amp;V)</translation>
    </message>
    <message>
        <source>Ask about what the map shows</source>
        <translation>就地图所显示的内容提问</translation>
    </message>
    <message>
        <source>&amp;Draw</source>
        <translation>绘制(&amp;D)</translation>
    </message>
    <message>
        <source>Draw a rectangle on the map and ask about it</source>
        <translation>在地图上绘制矩形并就其提问</translation>
    </message>
    <message>
        <source>Se&amp;lection</source>
        <translation>选择(&amp;L)</translation>
    </message>
    <message>
        <source>Ask about the selected features; select some on the map first</source>
        <translation>就选中的要素提问；请先在地图上选择</translation>
    </message>
    <message>
        <source>Drag a rectangle on the map.</source>
        <translation>请在地图上拖出一个矩形。</translation>
    </message>
    <message>
        <source>Se&amp;lection ({n})</source>
        <translation>选择(&amp;L)（{n}）</translation>
    </message>
    <message>
        <source>The map does not show “{scene}”. Zoom to the layer, or draw an area on it.</source>
        <translation>地图未显示“{scene}”。请缩放至该图层，或在其上绘制区域。</translation>
    </message>
    <message>
        <source>No area is drawn yet. Drag a rectangle on the map.</source>
        <translation>尚未绘制区域。请在地图上拖出一个矩形。</translation>
    </message>
    <message>
        <source>Select 1 to {n} features on the map, or ask about the view.</source>
        <translation>请在地图上选择 1 到 {n} 个要素，或就视图提问。</translation>
    </message>
</context>
<context>
    <name>Areas</name>
    <message>
        <source>“{name}” has no CRS. Set it (right-click the layer, Layer CRS).</source>
        <translation>“{name}”没有坐标系。请设置（右键单击图层，图层坐标系）。</translation>
    </message>
    <message>
        <source>No polygon is selected. Select some on the map, then try again.</source>
        <translation>未选中多边形。请在地图上选择若干个，然后重试。</translation>
    </message>
</context>
<context>
    <name>Backend</name>
    <message>
        <source>“{url}” is not a backend address. Correct it, for example to http://127.0.0.1:8765.</source>
        <translation>“{url}”不是后端地址。请改正，例如 http://127.0.0.1:8765。</translation>
    </message>
    <message>
        <source>The backend&apos;s token file cannot be read: {error}. Start the backend first.</source>
        <translation>无法读取后端的令牌文件：{error}。请先启动后端。</translation>
    </message>
    <message>
        <source>The backend was changed in the options. Start again.</source>
        <translation>后端已在选项中更改。请重新开始。</translation>
    </message>
    <message>
        <source>No FUSAR-GPT backend was found. Open the FUSAR-GPT options and press Install, or connect to a server there. Without a window, set the variable FUSAR_EXECUTABLE to the program “fusar”.</source>
        <translation>没有找到 FUSAR-GPT 后端。请打开 FUSAR-GPT 选项并按“安装”，或在那里连接服务器。没有窗口时，请把变量 FUSAR_EXECUTABLE 设为程序“fusar”的路径。</translation>
    </message>
</context>
<context>
    <name>BackendStatus</name>
    <message>
        <source>Open the FUSAR-GPT options and press Install, or set FUSAR_EXECUTABLE or FUSAR_URL before QGIS starts.</source>
        <translation>请打开 FUSAR-GPT 选项并点击“安装”，或在 QGIS 启动前设置 FUSAR_EXECUTABLE 或 FUSAR_URL。</translation>
    </message>
    <message>
        <source>“{path}” is no program that can be started: it was moved or removed.</source>
        <translation>“{path}”不是可以启动的程序：它已被移动或删除。</translation>
    </message>
    <message>
        <source>Open the FUSAR-GPT options and press Install or Repair.</source>
        <translation>请打开 FUSAR-GPT 选项，点击“安装”或“修复”。</translation>
    </message>
    <message>
        <source>The backend is starting: ask again in a few seconds.</source>
        <translation>后端正在启动：请几秒后再查询。</translation>
    </message>
    <message>
        <source>The backend is not running: the first interpretation starts it.</source>
        <translation>后端未运行：第一次解译时会启动它。</translation>
    </message>
    <message>
        <source>Start that backend, or choose another one in the FUSAR-GPT options.</source>
        <translation>请启动该后端，或在 FUSAR-GPT 选项中选择另一个。</translation>
    </message>
    <message>
        <source>The backend is ready: start an interpretation.</source>
        <translation>后端已就绪：可以开始解译。</translation>
    </message>
    <message>
        <source>The model is loading: an interpretation that is started now waits for it.</source>
        <translation>模型正在加载：现在开始的解译会等待它。</translation>
    </message>
    <message>
        <source>The backend at {url} did not answer within {n} s.</source>
        <translation>位于 {url} 的后端在 {n} 秒内没有应答。</translation>
    </message>
</context>
<context>
    <name>BackendWords</name>
    <message>
        <source>the area lies outside the scene, which covers longitude {west} to {east}, latitude {south} to {north}: draw it there, or check its CRS</source>
        <translation>区域位于影像之外，影像覆盖经度 {west} 至 {east}、纬度 {south} 至 {north}：请在那里绘制区域，或检查其坐标参照系。</translation>
    </message>
    <message>
        <source>the area leaves the extent of the scene&apos;s CRS: draw it closer to the scene</source>
        <translation>区域超出了影像坐标参照系的范围：请在离影像更近处绘制。</translation>
    </message>
    <message>
        <source>the area is empty: draw a polygon</source>
        <translation>区域为空：请绘制一个多边形。</translation>
    </message>
    <message>
        <source>the area is not a valid polygon ({reason}): draw it again</source>
        <translation>区域不是有效的多边形（{reason}）：请重新绘制。</translation>
    </message>
    <message>
        <source>the area&apos;s CRS &apos;{crs}&apos; is unknown: give one such as EPSG:4326</source>
        <translation>区域的坐标参照系“{crs}”未知：请给出一个，例如 EPSG:4326。</translation>
    </message>
    <message>
        <source>the area takes {chips} chips, a conversation at most {most}: draw a smaller area, or start a job</source>
        <translation>该区域需要 {chips} 个图块，而一次对话最多 {most} 个：请绘制更小的区域，或启动一个任务。</translation>
    </message>
    <message>
        <source>there is no data on {share} of the area, band &apos;{band}&apos; of &apos;{scene}&apos;, so the model was not asked: draw the area where the scene has data, or choose another band</source>
        <translation>区域的 {share} 没有数据（“{scene}”的波段“{band}”），因此没有询问模型：请在影像有数据的地方绘制区域，或选择其他波段。</translation>
    </message>
    <message>
        <source>the scene has no georeferencing, so no answer can be put on a map: georeference it in QGIS (Layer &gt; Georeferencer), or open the product&apos;s own file instead of an exported picture</source>
        <translation>影像没有地理参照，因此无法把结果放到地图上：请在 QGIS 中进行地理配准（图层 &gt; 地理配准器），或打开产品自身的文件而不是导出的图片。</translation>
    </message>
    <message>
        <source>the scene&apos;s CRS is not understood: assign one by its EPSG code</source>
        <translation>无法识别影像的坐标参照系：请按 EPSG 代码指定一个。</translation>
    </message>
    <message>
        <source>a pixel of &apos;{scene}&apos; would be {size} m on the ground by its CRS &apos;{crs}&apos;, as no radar image has it: its coordinates are in another CRS or unit, assign the right one</source>
        <translation>按坐标参照系“{crs}”，“{scene}”的一个像元在地面上将是 {size} 米，没有雷达影像如此：其坐标属于其他坐标参照系或单位，请指定正确的。</translation>
    </message>
    <message>
        <source>&apos;{scene}&apos; lies outside its CRS &apos;{crs}&apos;: assign the right CRS</source>
        <translation>“{scene}”位于其坐标参照系“{crs}”之外：请指定正确的坐标参照系。</translation>
    </message>
    <message>
        <source>&apos;{scene}&apos; is damaged or cut short: copy or download it again</source>
        <translation>“{scene}”已损坏或不完整：请重新复制或下载。</translation>
    </message>
    <message>
        <source>&apos;{file}&apos; is not a raster that this server opens ({formats}), or it is damaged: convert it to GeoTIFF</source>
        <translation>“{file}”不是此服务器能打开的栅格（{formats}），或已损坏：请转换为 GeoTIFF。</translation>
    </message>
    <message>
        <source>&apos;{file}&apos; is not a file: name the raster itself, not its folder</source>
        <translation>“{file}”不是文件：请指定栅格本身，而不是其文件夹。</translation>
    </message>
    <message>
        <source>this checkpoint does not know &apos;{target}&apos;; it knows: {targets}</source>
        <translation>此模型不认识“{target}”；它认识：{targets}。</translation>
    </message>
    <message>
        <source>a {target} is at most {length} m long, not even two of the scene&apos;s pixels of {pixel} m: take a finer scene</source>
        <translation>“{target}”最长 {length} 米，还不到影像两个像元（每个 {pixel} 米）：请使用更精细的影像。</translation>
    </message>
    <message>
        <source>There is no prior file {file}: give the path of a file, or none.</source>
        <translation>没有先验文件 {file}：请给出文件路径，或不使用先验。</translation>
    </message>
    <message>
        <source>{file} is not a prior: give a 64-band AEF raster, or AEF points as .npz or .npy.</source>
        <translation>{file} 不是先验：请给出 64 波段的 AEF 栅格，或 .npz、.npy 格式的 AEF 点。</translation>
    </message>
    <message>
        <source>{file} has {bands} bands and AEF has {wanted}: export bands A00 to A63.</source>
        <translation>{file} 有 {bands} 个波段，而 AEF 有 {wanted} 个：请导出波段 A00 至 A63。</translation>
    </message>
    <message>
        <source>{file} is not georeferenced: give a raster with a CRS and a geotransform.</source>
        <translation>{file} 没有地理参照：请给出带坐标参照系和地理变换的栅格。</translation>
    </message>
    <message>
        <source>{file} cannot be read, it is damaged or gone: fetch it again.</source>
        <translation>{file} 无法读取，已损坏或已不存在：请重新获取。</translation>
    </message>
    <message>
        <source>no AlphaEarth tile covers this place</source>
        <translation>没有 AlphaEarth 瓦片覆盖此处</translation>
    </message>
    <message>
        <source>The prior {prior} comes from {host}, and no network may be used for it: allow the network, or take auto, which goes on with what is at hand.</source>
        <translation>先验 {prior} 来自 {host}，而不允许为其使用网络：请允许网络，或选择自动，即使用手头已有的。</translation>
    </message>
    <message>
        <source>the bundled model {model} is not in this installation: install fusar-gpt again</source>
        <translation>此安装中没有自带模型 {model}：请重新安装 fusar-gpt。</translation>
    </message>
    <message>
        <source>{model} is not a checkpoint: give {bundled}, a stored name, a folder or a model hub id</source>
        <translation>{model} 不是模型：请给出 {bundled}、已存储的名称、文件夹或模型库标识。</translation>
    </message>
    <message>
        <source>{model} lacks {parts}: get the checkpoint again</source>
        <translation>{model} 缺少 {parts}：请重新获取模型。</translation>
    </message>
    <message>
        <source>{file} is corrupted (its SHA-256 differs from the card&apos;s): get the checkpoint again</source>
        <translation>{file} 已损坏（其 SHA-256 与模型卡不符）：请重新获取模型。</translation>
    </message>
    <message>
        <source>the server is shutting down; start it again</source>
        <translation>服务器正在关闭；请重新启动。</translation>
    </message>
    <message>
        <source>{count} jobs are waiting already; try again when some are done</source>
        <translation>已有 {count} 个任务在等待；请在部分完成后重试。</translation>
    </message>
    <message>
        <source>too many of your jobs are waiting already; try again when some are done</source>
        <translation>您等待中的任务太多；请在部分完成后重试。</translation>
    </message>
    <message>
        <source>the server&apos;s disk is full; free some space on it, then start the job again</source>
        <translation>服务器磁盘已满；请释放一些空间，然后重新启动任务。</translation>
    </message>
    <message>
        <source>too many scenes are being opened; try again in a moment</source>
        <translation>正在打开的影像太多；请稍后重试。</translation>
    </message>
    <message>
        <source>this took longer than {limit} s; draw a smaller area, or start the job</source>
        <translation>这超过了 {limit} 秒；请绘制更小的区域，或启动任务。</translation>
    </message>
    <message>
        <source>unexpected {kind}; the server&apos;s log says more</source>
        <translation>意外错误 {kind}；详情见服务器日志。</translation>
    </message>
    <message>
        <source>No data on {share} of the area: nothing is known of that ground.</source>
        <translation>区域的 {share} 没有数据：对那片地面一无所知。</translation>
    </message>
    <message>
        <source>No data on {share} of the area in this chip.</source>
        <translation>此图块中区域的 {share} 没有数据。</translation>
    </message>
    <message>
        <source>The area cannot be used.</source>
        <translation>该区域无法使用。</translation>
    </message>
    <message>
        <source>The scene cannot be used.</source>
        <translation>该影像无法使用。</translation>
    </message>
    <message>
        <source>The prior cannot be used.</source>
        <translation>该先验无法使用。</translation>
    </message>
    <message>
        <source>The question cannot be asked like this.</source>
        <translation>不能这样提问。</translation>
    </message>
    <message>
        <source>The model cannot be loaded.</source>
        <translation>模型无法加载。</translation>
    </message>
    <message>
        <source>That is too much at once.</source>
        <translation>一次给出的太多。</translation>
    </message>
    <message>
        <source>The backend has too much to do.</source>
        <translation>后端任务过多。</translation>
    </message>
    <message>
        <source>The backend may not read that file.</source>
        <translation>后端不允许读取该文件。</translation>
    </message>
    <message>
        <source>The backend cannot keep its jobs.</source>
        <translation>后端无法保存其任务。</translation>
    </message>
    <message>
        <source>The backend does not accept the request.</source>
        <translation>后端不接受该请求。</translation>
    </message>
    <message>
        <source>{encoder} does not know every word: it read {words}.</source>
        <translation>{encoder} 不认识所有词语：它把词语这样理解：{words}。</translation>
    </message>
    <message>
        <source>{encoder} does not know {words}; it searched for the rest.</source>
        <translation>{encoder} 不认识 {words}；只按其余词语搜索。</translation>
    </message>
    <message>
        <source>{encoder} knows none of the words of {text}: use words that it knows, {words}; `fusar checkpoint show {name}` lists all</source>
        <translation>{encoder} 不认识 {text} 中的任何词语：请使用它认识的词语，{words}；`fusar checkpoint show {name}` 列出全部词语</translation>
    </message>
    <message>
        <source>{text} holds no words: write what to find, {words}</source>
        <translation>{text} 中没有词语：请写出要找什么，{words}</translation>
    </message>
    <message>
        <source>Searched for &apos;{wanted}&apos;, away from {unwanted}.</source>
        <translation>已搜索“{wanted}”，并远离 {unwanted}。</translation>
    </message>
    <message>
        <source>&apos;{wanted}&apos; says only what is not there, which {encoder} hardly knows: say what is there, too.</source>
        <translation>“{wanted}”只说了没有什么，而 {encoder} 几乎不懂这种说法：请同时说明有什么。</translation>
    </message>
    <message>
        <source>Slices of {slice} m have pixels of {pixel} m, a size that {encoder} was not taught ({taught} m): how it ranks them is a guess.</source>
        <translation>{slice} 米的切片，像元为 {pixel} 米，{encoder} 没有学过这样的大小（学过 {taught} 米）：排序只是猜测。</translation>
    </message>
    <message>
        <source>A slice of {slice} m reaches beyond the scene, which is smaller: there the encoder sees black.</source>
        <translation>影像比 {slice} 米的切片小，切片超出影像：超出处编码器看到的是黑色。</translation>
    </message>
    <message>
        <source>An example is {large} m wide and slices are {slice} m: it is shown smaller to be compared, so what is in it looks smaller, too.</source>
        <translation>有一个示例宽 {large} 米，而切片为 {slice} 米：比较时示例被缩小，其中的内容看起来也更小。</translation>
    </message>
    <message>
        <source>the scene has too little data {place}, so nothing can be like it: give an example where it has data</source>
        <translation>影像在此处（{place}）数据太少，没有什么能与之比较：请在有数据处给出示例</translation>
    </message>
    <message>
        <source>the example {place} lies outside the scene: give a place on it, x before y, and the CRS that it is in (taken for {crs})</source>
        <translation>示例（{place}）在影像之外：请给出影像上的地点，先 x 后 y，并给出其坐标系（现按 {crs} 处理）</translation>
    </message>
    <message>
        <source>there is no data on {share} of the area, band &apos;{band}&apos; of &apos;{scene}&apos;, and nowhere on {half}, so there is nothing to search: draw the area where the scene has data, or choose another band</source>
        <translation>区域的 {share} 没有数据（“{scene}”的波段“{band}”），也没有一处有足够的数据（{half}），因此无法搜索：请在影像有数据处绘制区域，或选择其他波段</translation>
    </message>
    <message>
        <source>&apos;{scene}&apos; is smaller than {half}, too little to compare: take a larger scene</source>
        <translation>“{scene}”太小（小于 {half}），无法比较：请使用更大的影像</translation>
    </message>
    <message>
        <source>Slices show at least {least} m of this scene, not {wanted} m: its pixels are not magnified.</source>
        <translation>此影像的切片至少为 {least} 米，而不是 {wanted} 米：像元不会被放大。</translation>
    </message>
</context>
<context>
    <name>BackgroundTask</name>
    <message>
        <source>Cancelled.</source>
        <translation>已取消。</translation>
    </message>
</context>
<context>
    <name>BoxPlacing</name>
    <message>
        <source>That place lies outside what the scene&apos;s georeferencing can place.</source>
        <translation>该位置超出了影像地理参考所能定位的范围。</translation>
    </message>
</context>
<context>
    <name>BoxesChoice</name>
    <message>
        <source>There is no polygon layer. Detect first, or draw boxes.</source>
        <translation>没有多边形图层。请先检测，或绘制框。</translation>
    </message>
    <message>
        <source>More than {n} features on the area. Select some of them.</source>
        <translation>区域内的要素超过 {n} 个。请选择其中一部分。</translation>
    </message>
    <message>
        <source>%n selected feature(s) on the area</source>
        <translation>区域内选中的 %n 个要素</translation>
    </message>
    <message>
        <source>%n feature(s) on the area</source>
        <translation>区域内的 %n 个要素</translation>
    </message>
    <message>
        <source>No polygon of that layer lies on the area. Choose another layer, or another task.</source>
        <translation>该图层没有多边形位于区域内。请选择其他图层或其他任务。</translation>
    </message>
</context>
<context>
    <name>BulkDecisions</name>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
    <message>
        <source>What is decided so far stays; Undo takes it back</source>
        <translation>已写入的决定会保留；可用“撤销”收回</translation>
    </message>
    <message>
        <source>Deciding: %v of %m</source>
        <translation>正在写入决定：%v / %m</translation>
    </message>
    <message>
        <source>Taking back: %v of %m</source>
        <translation>正在撤销：%v / %m</translation>
    </message>
    <message>
        <source>Stopped after {n} of {total}. What is done stays; Undo takes it back.</source>
        <translation>已在 {n} / {total} 处停止。已完成的会保留；可用“撤销”收回。</translation>
    </message>
    <message>
        <source>Stopped after {n} of {total}: {reason}</source>
        <translation>已在 {n} / {total} 处停止：{reason}</translation>
    </message>
</context>
<context>
    <name>ChatDock</name>
    <message>
        <source>Ask FUSAR-GPT</source>
        <translation>询问 FUSAR-GPT</translation>
    </message>
    <message>
        <source>&lt;b&gt;Ask FUSAR-GPT&lt;/b&gt;&lt;br&gt;Ask about an area in words; what an answer found is a link to the map</source>
        <translation>&lt;b&gt;询问 FUSAR-GPT&lt;/b&gt;&lt;br&gt;用文字就某个区域提问；回答中找到的对象链接到地图</translation>
    </message>
</context>
<context>
    <name>ChatPanel</name>
    <message>
        <source>The map cannot show that place in its coordinate system.</source>
        <translation>地图无法在其坐标系中显示该位置。</translation>
    </message>
    <message>
        <source>&amp;Suggestions</source>
        <translation>建议问题(&amp;S)</translation>
    </message>
    <message>
        <source>S&amp;top</source>
        <translation>停止(&amp;T)</translation>
    </message>
    <message>
        <source>&amp;Ask</source>
        <translation>提问(&amp;A)</translation>
    </message>
    <message>
        <source>The conversation was written to “{file}”.</source>
        <translation>对话已写入“{file}”。</translation>
    </message>
    <message>
        <source>The next question is still about the area framed on the map. Press View to ask about what the map shows now.</source>
        <translation>下一个问题仍针对地图上框出的区域。若要询问地图当前显示的内容，请按“视图”。</translation>
    </message>
    <message>
        <source>Put on the map: %n finding(s) of the answer.</source>
        <translation>已加入地图：回答中的 %n 个结果。</translation>
    </message>
    <message>
        <source>A demonstration model answers here: do not rely on its answers.</source>
        <translation>此处由演示模型回答：请勿依赖其答案。</translation>
    </message>
</context>
<context>
    <name>ChatRequest</name>
    <message>
        <source>Connecting to the backend…</source>
        <translation>正在连接后端…</translation>
    </message>
    <message>
        <source>Sending the area to the backend: {percent} %</source>
        <translation>正在把区域发送给后端：{percent} %</translation>
    </message>
    <message>
        <source>Looking…</source>
        <translation>正在查看……</translation>
    </message>
    <message>
        <source>Looking at chip {chip} of {chips}…</source>
        <translation>正在查看切片 {chip}/{chips}……</translation>
    </message>
    <message>
        <source>The question about the prior waits for your answer.</source>
        <translation>关于先验的问题正等待您的回答。</translation>
    </message>
</context>
<context>
    <name>ChatStream</name>
    <message>
        <source>The backend&apos;s answer cannot be read. Install backend and plugin in the same version.</source>
        <translation>无法读取后端的回答。请安装相同版本的后端和插件。</translation>
    </message>
    <message>
        <source>The connection to the backend broke in mid-answer. Ask again.</source>
        <translation>回答过程中与后端的连接中断。请重新提问。</translation>
    </message>
</context>
<context>
    <name>ChatWording</name>
    <message>
        <source>How many ships are here?</source>
        <translation>这里有多少艘船？</translation>
    </message>
    <message>
        <source>Where are the ships?</source>
        <translation>船在哪里？</translation>
    </message>
    <message>
        <source>Which grid cells hold ships?</source>
        <translation>哪些网格里有船？</translation>
    </message>
    <message>
        <source>What is this?</source>
        <translation>这是什么？</translation>
    </message>
    <message>
        <source>Describe this area.</source>
        <translation>描述这个区域。</translation>
    </message>
    <message>
        <source>{n} selected</source>
        <translation>已选 {n} 个</translation>
    </message>
    <message>
        <source>model {model}</source>
        <translation>模型 {model}</translation>
    </message>
    <message>
        <source>year {year}</source>
        <translation>{year} 年</translation>
    </message>
    <message>
        <source>first word after {seconds} s</source>
        <translation>{seconds} 秒后出现第一个词</translation>
    </message>
    <message>
        <source>chips seen: {n}</source>
        <translation>已查看切片：{n}</translation>
    </message>
</context>
<context>
    <name>CheckpointCommands</name>
    <message>
        <source>Install the backend first (tab “This computer”).</source>
        <translation>请先安装后端（“本机”选项卡）。</translation>
    </message>
    <message>
        <source>Cancelled. What has been downloaded whole is kept for the next time.</source>
        <translation>已取消。已完整下载的部分会保留到下次。</translation>
    </message>
    <message>
        <source>The model is installed. Choose it above.</source>
        <translation>模型已安装。请在上方选择它。</translation>
    </message>
    <message>
        <source>The model could not be installed: {reason}.</source>
        <translation>无法安装模型：{reason}。</translation>
    </message>
    <message>
        <source>no reason given</source>
        <translation>未给出原因</translation>
    </message>
</context>
<context>
    <name>ChildBackend</name>
    <message>
        <source>it did not answer within two minutes</source>
        <translation>两分钟内没有应答</translation>
    </message>
    <message>
        <source>no reason given</source>
        <translation>未给出原因</translation>
    </message>
    <message>
        <source>The FUSAR-GPT backend could not start: {reason}. Open the FUSAR-GPT options and press Repair, or run “fusar doctor” in a terminal.</source>
        <translation>FUSAR-GPT 后端无法启动：{reason}。请打开 FUSAR-GPT 选项并点击“修复”，或在终端运行“fusar doctor”。</translation>
    </message>
    <message>
        <source>The FUSAR-GPT backend stopped twice, so it is not started again by itself. What was found so far is safe. If that happens again, try a smaller area, or run “fusar doctor” in a terminal.</source>
        <translation>FUSAR-GPT 后端停止了两次，因此不再自动重启。目前的发现已保存。如果再次发生，请缩小区域，或在终端中运行“fusar doctor”。</translation>
    </message>
</context>
<context>
    <name>Clipping</name>
    <message>
        <source>Cancelled.</source>
        <translation>已取消。</translation>
    </message>
    <message>
        <source>The area lies outside “{name}”. Draw it on the layer.</source>
        <translation>该区域在“{name}”之外。请在图层上绘制。</translation>
    </message>
    <message>
        <source>“{name}” cannot be read there, or the disk is full. Look at QGIS's log.</source>
        <translation>“{name}”在该处无法读取，或磁盘已满。请查看 QGIS 日志。</translation>
    </message>
    <message>
        <source>The area takes {size:.1f} GB to send, at most {limit:.0f} are sent. Draw a smaller one.</source>
        <translation>发送该区域需要 {size:.1f} GB，最多可发送 {limit:.0f} GB。请绘制更小的区域。</translation>
    </message>
</context>
<context>
    <name>ClusterNumbers</name>
    <message>
        <source>Places of findings</source>
        <translation>结果的位置</translation>
    </message>
</context>
<context>
    <name>Confidence</name>
    <message>
        <source>≥ {least}: {shown} of {total}</source>
        <translation>≥ {least}：{shown}/{total}</translation>
    </message>
    <message>
        <source>(incl. {n} unscored)</source>
        <translation>（含 {n} 个无得分）</translation>
    </message>
    <message>
        <source>Confid&amp;ence</source>
        <translation>置信度(&amp;E)</translation>
    </message>
    <message>
        <source>Obj&amp;ectness (ranks only)</source>
        <translation>目标性(&amp;E)（仅供排序）</translation>
    </message>
    <message>
        <source>Scor&amp;e (ranks only)</source>
        <translation>得分(&amp;E)（仅供排序）</translation>
    </message>
    <message>
        <source>Confidence: none</source>
        <translation>无置信度</translation>
    </message>
    <message>
        <source>Findings without this number are always shown.</source>
        <translation>没有此数值的结果始终显示。</translation>
    </message>
    <message>
        <source>Show only detections with this confidence or a higher one: the probability that a detection is right, calibrated on images that the model had not seen.</source>
        <translation>只显示置信度不低于此值的检测结果：即检测正确的概率，用模型未见过的图像校准。</translation>
    </message>
    <message>
        <source>Show only detections with this objectness or a higher one. Objectness ranks detections; it is not a probability of being right. This model has no calibration, so there is no confidence.</source>
        <translation>只显示目标性不低于此值的检测结果。目标性用于给检测结果排序，不是正确的概率。该模型未经校准，因此没有置信度。</translation>
    </message>
    <message>
        <source>Show only detections with this score or a higher one. The score is of an older version: the model&apos;s token probability, not a probability of being right.</source>
        <translation>只显示得分不低于此值的检测结果。该得分来自旧版本：是模型的词元概率，不是正确的概率。</translation>
    </message>
    <message>
        <source>No detection of this layer has a confidence or an objectness.</source>
        <translation>该图层的检测结果都没有置信度或目标性。</translation>
    </message>
    <message>
        <source>Keep this filter in the project. Otherwise everything is shown when the project is opened again.</source>
        <translation>在工程中保留此筛选。否则再次打开工程时显示全部。</translation>
    </message>
</context>
<context>
    <name>ConsentQuestion</name>
    <message>
        <source>Allow always</source>
        <translation>始终允许</translation>
    </message>
    <message>
        <source>This time</source>
        <translation>仅此一次</translation>
    </message>
    <message>
        <source>Never</source>
        <translation>从不</translation>
    </message>
    <message>
        <source>AlphaEarth tiles of this place are fetched from {hosts}; only the tile numbers leave this computer.</source>
        <translation>将从 {hosts} 获取此处的 AlphaEarth 瓦片；只有瓦片编号会离开本机。</translation>
    </message>
    <message>
        <source>The server {server} fetches AlphaEarth tiles of this place from {hosts}; only the tile numbers leave it.</source>
        <translation>服务器 {server} 将从 {hosts} 获取此处的 AlphaEarth 瓦片；只有瓦片编号会离开该服务器。</translation>
    </message>
    <message>
        <source>So far your answer is never.</source>
        <translation>您此前的回答是“从不”。</translation>
    </message>
</context>
<context>
    <name>ConversationBar</name>
    <message>
        <source>Conversation</source>
        <translation>对话</translation>
    </message>
    <message>
        <source>The conversations of this project</source>
        <translation>本工程中的对话</translation>
    </message>
    <message>
        <source>New conversation</source>
        <translation>新建对话</translation>
    </message>
    <message>
        <source>Rename, delete, export</source>
        <translation>重命名、删除、导出</translation>
    </message>
    <message>
        <source>&amp;Rename…</source>
        <translation>重命名(&amp;R)……</translation>
    </message>
    <message>
        <source>&amp;Export…</source>
        <translation>导出(&amp;E)……</translation>
    </message>
    <message>
        <source>&amp;Delete…</source>
        <translation>删除(&amp;D)……</translation>
    </message>
    <message>
        <source>Rename the conversation</source>
        <translation>重命名对话</translation>
    </message>
    <message>
        <source>Name</source>
        <translation>名称</translation>
    </message>
    <message>
        <source>Rename</source>
        <translation>重命名</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
    <message>
        <source>Delete the conversation</source>
        <translation>删除对话</translation>
    </message>
    <message>
        <source>Delete</source>
        <translation>删除</translation>
    </message>
    <message>
        <source>Export the conversation</source>
        <translation>导出对话</translation>
    </message>
    <message>
        <source>Web page</source>
        <translation>网页</translation>
    </message>
    <message>
        <source>Markdown</source>
        <translation>Markdown 文档</translation>
    </message>
    <message>
        <source>“{file}” cannot be written: {reason}</source>
        <translation>无法写入“{file}”：{reason}</translation>
    </message>
    <message>
        <source>Delete “{name}” with its %n answer(s)? They cannot be brought back.</source>
        <translation>删除“{name}”及其 %n 个回答？删除后无法恢复。</translation>
    </message>
</context>
<context>
    <name>DebouncedRequest</name>
    <message>
        <source>The backend&apos;s answer is not understood. Update the backend and the plugin.</source>
        <translation>无法理解后端的回答。请更新后端和插件。</translation>
    </message>
</context>
<context>
    <name>Decisions</name>
    <message>
        <source>Another program is writing to the file. Try again in a moment.</source>
        <translation>另一个程序正在写入该文件。请稍后重试。</translation>
    </message>
    <message>
        <source>It cannot be saved. Is the disk full, or the file read-only?</source>
        <translation>无法保存。磁盘是否已满，或文件是否只读？</translation>
    </message>
    <message>
        <source>Review</source>
        <translation>审核</translation>
    </message>
</context>
<context>
    <name>Diagnosis</name>
    <message>
        <source>The backend at {url} does not answer ({error}). Check that it runs, then try again.</source>
        <translation>{url} 处的后端没有响应（{error}）。请检查它是否在运行，然后重试。</translation>
    </message>
    <message>
        <source>The backend at {url} answered with HTTP {status}. Look at its log.</source>
        <translation>{url} 处的后端返回 HTTP {status}。请查看其日志。</translation>
    </message>
    <message>
        <source>The name “{host}” was not found. Check the address, and whether a VPN has to be connected first.</source>
        <translation>找不到名称“{host}”。请检查地址，以及是否需要先连接 VPN。</translation>
    </message>
    <message>
        <source>The backend at {url} does not answer: nothing listens there. Check that it runs and that the port is right (with an SSH tunnel: that the tunnel is open), then try again.</source>
        <translation>{url} 处的后端没有响应：该处没有程序在监听。请检查它是否在运行、端口是否正确（使用 SSH 隧道时：隧道是否打开），然后重试。</translation>
    </message>
    <message>
        <source>The certificate of {url} is not trusted. Ask who runs the server for its certificate and add it in Settings, Options, Authentication, Manage Certificates.</source>
        <translation>{url} 的证书不受信任。请向服务器管理者索取证书，并在“设置、选项、认证、管理证书”中添加。</translation>
    </message>
    <message>
        <source>The backend at {url} does not answer in time. A firewall may be in between, or the address is of another computer. Check both, then try again.</source>
        <translation>{url} 处的后端没有及时响应。中间可能有防火墙，或该地址属于另一台计算机。请检查这两点，然后重试。</translation>
    </message>
    <message>
        <source>{url} closed the connection. Check whether the address begins with http:// or https://, and that the backend runs, then try again.</source>
        <translation>{url} 关闭了连接。请检查地址应以 http:// 还是 https:// 开头，以及后端是否在运行，然后重试。</translation>
    </message>
    <message>
        <source>The backend at {url} does not accept the token. Enter the one that the backend was started with.</source>
        <translation>{url} 处的后端不接受该令牌。请输入启动后端时所用的令牌。</translation>
    </message>
    <message>
        <source>A proxy stands between QGIS and {url}, and it does not let the request through. Exclude the address in Settings, Options, Network, or ask who runs the proxy.</source>
        <translation>QGIS 与 {url} 之间有代理，且它不放行该请求。请在“设置、选项、网络”中排除该地址，或询问代理管理者。</translation>
    </message>
    <message>
        <source>What answers at {url} is not a FUSAR-GPT backend: another program, or the sign-in page of a network. Check address and port.</source>
        <translation>{url} 处响应的不是 FUSAR-GPT 后端：可能是其他程序，或网络的登录页面。请检查地址和端口。</translation>
    </message>
    <message>
        <source>The backend at {url} is newer than this plugin (API {served}, here {api}). Update the plugin.</source>
        <translation>{url} 处的后端比本插件新（API {served}，此处为 {api}）。请更新插件。</translation>
    </message>
    <message>
        <source>The backend at {url} is older than this plugin (API {served}, here {api}). Update the backend.</source>
        <translation>{url} 处的后端比本插件旧（API {served}，此处为 {api}）。请更新后端。</translation>
    </message>
    <message>
        <source>The answer of {url} cannot be read. Install backend and plugin in the same version.</source>
        <translation>无法读取 {url} 的回答。请安装相同版本的后端和插件。</translation>
    </message>
</context>
<context>
    <name>EffectTable</name>
    <message>
        <source>With and without prior</source>
        <translation>有先验与无先验</translation>
    </message>
    <message>
        <source>all</source>
        <translation>全部</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>关闭</translation>
    </message>
    <message>
        <source>With the prior ({prior}): %n detection(s). Without it: {m}.</source>
        <translation>有先验（{prior}）：%n 个检测。无先验：{m} 个。</translation>
    </message>
</context>
<context>
    <name>Environment</name>
    <message>
        <source>Looking for Python…</source>
        <translation>正在查找 Python……</translation>
    </message>
    <message>
        <source>Looking for packages…</source>
        <translation>正在查找软件包……</translation>
    </message>
    <message>
        <source>Removing…</source>
        <translation>正在移除……</translation>
    </message>
    <message>
        <source>Stopping…</source>
        <translation>正在停止……</translation>
    </message>
    <message>
        <source>{folder} holds other things, and nothing was done to them. Choose an empty or a new folder.</source>
        <translation>{folder} 中有其他内容，未做任何改动。请选择空文件夹或新文件夹。</translation>
    </message>
    <message>
        <source>Making an environment with Python {version}…</source>
        <translation>正在用 Python {version} 创建环境……</translation>
    </message>
    <message>
        <source>Trying the backend…</source>
        <translation>正在试运行后端……</translation>
    </message>
    <message>
        <source>Looking at {what}…</source>
        <translation>正在查看 {what}……</translation>
    </message>
    <message>
        <source>Downloading {what}…</source>
        <translation>正在下载 {what}……</translation>
    </message>
    <message>
        <source>Building {what}…</source>
        <translation>正在构建 {what}……</translation>
    </message>
    <message>
        <source>The backend is installed and works.</source>
        <translation>后端已安装，运行正常。</translation>
    </message>
    <message>
        <source>Cancelled.</source>
        <translation>已取消。</translation>
    </message>
    <message>
        <source>The backend could not be installed: {reason}. {advice}</source>
        <translation>无法安装后端：{reason}。{advice}</translation>
    </message>
    <message>
        <source>no reason given</source>
        <translation>未给出原因</translation>
    </message>
    <message>
        <source>Check that the folder holds all packages for this computer; the log says more.</source>
        <translation>请检查该文件夹是否包含适用于本机的全部软件包；详情见日志。</translation>
    </message>
    <message>
        <source>Check the network, the disk&apos;s free space and the log, then try again.</source>
        <translation>请检查网络、磁盘剩余空间和日志，然后重试。</translation>
    </message>
    <message>
        <source>{folder} could not be removed: {problem}. Close programs that use it, then try again.</source>
        <translation>无法移除 {folder}：{problem}。请关闭正在使用它的程序，然后重试。</translation>
    </message>
    <message>
        <source>The backend was removed. {folder} stays, because it holds other things.</source>
        <translation>后端已移除。{folder} 中有其他内容，因此保留。</translation>
    </message>
    <message>
        <source>The backend was removed.</source>
        <translation>后端已移除。</translation>
    </message>
    <message>
        <source>Nothing was kept.</source>
        <translation>未保留任何内容。</translation>
    </message>
    <message>
        <source>What was there is damaged: press Repair.</source>
        <translation>原有内容已损坏：请点击“修复”。</translation>
    </message>
    <message>
        <source>What was there stays.</source>
        <translation>原有内容保持不变。</translation>
    </message>
    <message>
        <source>Removing {folder}</source>
        <translation>正在移除 {folder}</translation>
    </message>
    <message>
        <source>The backend needs about {needed} GB, and {folder} has {free} GB free. Free some space or choose a folder on another disk. Nothing was installed.</source>
        <translation>后端约需 {needed} GB，而 {folder} 只剩 {free} GB 可用空间。请释放一些空间，或选择另一个磁盘上的文件夹。未安装任何内容。</translation>
    </message>
    <message>
        <source>It does not use the NVIDIA GPU: only the CPU build of torch can be had. For the other one enter the address of its index under “Index for torch”, then press Repair.</source>
        <translation>它不使用 NVIDIA GPU：只能得到 torch 的 CPU 版本。要使用 GPU 版本，请在“torch 的软件包索引”中填写其地址，然后按“修复”。</translation>
    </message>
    <message>
        <source>This computer has no NVIDIA GPU, and only the build of torch for one can be had. It works all the same: {size} The CPU build takes about {download} GB to download and {disk} GB on the disk. {advice}</source>
        <translation>本机没有 NVIDIA GPU，而只能得到为其构建的 torch。它同样可以工作：{size}CPU 版本约需下载 {download} GB，占用磁盘 {disk} GB。{advice}</translation>
    </message>
    <message>
        <source>For that one cancel, and enter the address of its index under “Index for torch”.</source>
        <translation>如需 CPU 版本，请取消，并在“torch 的软件包索引”中填写其地址。</translation>
    </message>
    <message>
        <source>For that one cancel, and put its wheel into the folder.</source>
        <translation>如需 CPU 版本，请取消，并把它的 wheel 放入该文件夹。</translation>
    </message>
    <message>
        <source>Waiting for your decision…</source>
        <translation>等待您的决定……</translation>
    </message>
    <message>
        <source>Installing %n package(s)…</source>
        <translation>正在安装 %n 个软件包……</translation>
    </message>
</context>
<context>
    <name>ExampleLabels</name>
    <message>
        <source>More like this is wanted; click to take it away</source>
        <translation>要更像它的地点；点击可移除</translation>
    </message>
    <message>
        <source>Less like this is wanted; click to take it away</source>
        <translation>不要像它的地点；点击可移除</translation>
    </message>
</context>
<context>
    <name>ExampleMenus</name>
    <message>
        <source>point {x}, {y}</source>
        <translation>点 {x}, {y}</translation>
    </message>
    <message>
        <source>More like this</source>
        <translation>更像这里</translation>
    </message>
    <message>
        <source>Less like this</source>
        <translation>不要像这里</translation>
    </message>
    <message>
        <source>place {rank}</source>
        <translation>地点 {rank}</translation>
    </message>
    <message>
        <source>cell {cell}</source>
        <translation>格网 {cell}</translation>
    </message>
    <message>
        <source>finding</source>
        <translation>解译结果</translation>
    </message>
</context>
<context>
    <name>Export</name>
    <message>
        <source>There is nothing to learn from. Review some findings first.</source>
        <translation>没有可供学习的内容。请先审核一些结果。</translation>
    </message>
    <message>
        <source>{reason} Bring the scene back to its place, or export as GeoJSON.</source>
        <translation>{reason} 请把影像放回原处，或导出为 GeoJSON。</translation>
    </message>
    <message>
        <source>The folder “{path}” does not exist. Choose another one.</source>
        <translation>文件夹“{path}”不存在。请另选一个。</translation>
    </message>
    <message>
        <source>You may not write to the folder “{path}”. Choose another one.</source>
        <translation>您无权写入文件夹“{path}”。请另选一个。</translation>
    </message>
    <message>
        <source>“{path}” is there already, and is not an empty folder. Choose a new name.</source>
        <translation>“{path}”已存在，且不是空文件夹。请换一个名称。</translation>
    </message>
    <message>
        <source>“{path}” is a folder. Choose the name of a file.</source>
        <translation>“{path}”是文件夹。请选择文件名。</translation>
    </message>
    <message>
        <source>“{path}” is read-only. Choose another name.</source>
        <translation>“{path}”是只读的。请换一个名称。</translation>
    </message>
    <message>
        <source>The disk of “{path}” is full. Free some space, or choose another folder.</source>
        <translation>“{path}”所在磁盘已满。请释放空间，或另选文件夹。</translation>
    </message>
    <message>
        <source>“{path}” cannot be written: {reason}. Choose another place.</source>
        <translation>无法写入“{path}”：{reason}。请另选位置。</translation>
    </message>
    <message>
        <source>%n image(s). To check them: fusar-train data check</source>
        <translation>%n 幅图像。检查命令：fusar-train data check</translation>
    </message>
</context>
<context>
    <name>Exporting</name>
    <message>
        <source>&amp;GeoPackage…</source>
        <translation>GeoPackage 文件(&amp;G)……</translation>
    </message>
    <message>
        <source>Geo&amp;JSON (WGS84)…</source>
        <translation>GeoJSON 文件（WGS84）(&amp;J)……</translation>
    </message>
    <message>
        <source>&amp;COCO (boxes in scene pixels)…</source>
        <translation>COCO（影像像素坐标的框）(&amp;C)……</translation>
    </message>
    <message>
        <source>&amp;Training records (for fusar-train)…</source>
        <translation>训练记录（用于 fusar-train）(&amp;T)……</translation>
    </message>
    <message>
        <source>&amp;Include what is not reviewed</source>
        <translation>包括未审核的结果(&amp;I)</translation>
    </message>
    <message>
        <source>Nothing to export: no finding is accepted, relabelled or added yet.</source>
        <translation>没有可导出的内容：尚无结果被接受、改标或添加。</translation>
    </message>
    <message>
        <source>Export findings</source>
        <translation>导出结果</translation>
    </message>
    <message>
        <source>New folder (*)</source>
        <translation>新文件夹 (*)</translation>
    </message>
    <message>
        <source>Not exported: {reason}</source>
        <translation>未导出：{reason}</translation>
    </message>
    <message>
        <source>Left out: {rejected} rejected, {unreviewed} not reviewed.</source>
        <translation>未包括：{rejected} 个被拒绝，{unreviewed} 个未审核。</translation>
    </message>
    <message>
        <source>Export</source>
        <translation>导出</translation>
    </message>
    <message>
        <source>CSV &amp;table (WGS84)…</source>
        <translation>CSV 表格（WGS84）(&amp;T)…</translation>
    </message>
    <message>
        <source>&amp;KML (Google Earth)…</source>
        <translation>&amp;KML（Google Earth）…</translation>
    </message>
    <message>
        <source>PDF &amp;report…</source>
        <translation>PDF 报告(&amp;R)…</translation>
    </message>
    <message>
        <source>%n finding(s) exported to {path}.</source>
        <translation>已将 %n 个结果导出到 {path}。</translation>
    </message>
    <message>
        <source>The layer “{layer}” of this project is in “{path}”. Choose another name.</source>
        <translation>本工程的图层“{layer}”就在“{path}”中。请换一个名称。</translation>
    </message>
    <message>
        <source>report {date} {name}</source>
        <translation>报告 {date} {name}</translation>
    </message>
    <message>
        <source>Report of “{name}”</source>
        <translation>“{name}”的报告</translation>
    </message>
    <message>
        <source>Open</source>
        <translation>打开</translation>
    </message>
    <message>
        <source>Report</source>
        <translation>报告</translation>
    </message>
    <message>
        <source>Cancelled. No report was written.</source>
        <translation>已取消。未写出报告。</translation>
    </message>
</context>
<context>
    <name>Filters</name>
    <message>
        <source>All runs</source>
        <translation>全部运行</translation>
    </message>
    <message>
        <source>All classes</source>
        <translation>全部类别</translation>
    </message>
    <message>
        <source>Reviewed or not</source>
        <translation>不限审核状态</translation>
    </message>
    <message>
        <source>Not reviewed</source>
        <translation>未审核</translation>
    </message>
    <message>
        <source>Search in class, run, answer and id</source>
        <translation>在类别、运行、回答和编号中搜索</translation>
    </message>
    <message>
        <source>All scenes</source>
        <translation>全部场景</translation>
    </message>
    <message>
        <source>From any day</source>
        <translation>起始日期不限</translation>
    </message>
    <message>
        <source>Runs that began on this day or later</source>
        <translation>在这一天或之后开始的运行</translation>
    </message>
    <message>
        <source>To any day</source>
        <translation>截止日期不限</translation>
    </message>
    <message>
        <source>Runs that began on this day or earlier</source>
        <translation>在这一天或之前开始的运行</translation>
    </message>
    <message>
        <source>Clear filters</source>
        <translation>清除筛选</translation>
    </message>
</context>
<context>
    <name>FindingConversations</name>
    <message>
        <source>No conversation about this finding yet</source>
        <translation>还没有关于此发现的对话</translation>
    </message>
    <message>
        <source>Conversations about this finding</source>
        <translation>关于此发现的对话</translation>
    </message>
</context>
<context>
    <name>FindingsDock</name>
    <message>
        <source>Findings</source>
        <translation>结果</translation>
    </message>
    <message>
        <source>&lt;b&gt;Findings&lt;/b&gt;&lt;br&gt;All findings of the project in a table: filter, look at and review them</source>
        <translation>&lt;b&gt;发现&lt;/b&gt;&lt;br&gt;以表格列出工程中的全部发现：筛选、查看并审核</translation>
    </message>
    <message>
        <source>Runs</source>
        <translation>运行</translation>
    </message>
    <message>
        <source>There is no run to report on yet. Interpret an area first.</source>
        <translation>还没有可写报告的运行。请先解译一个区域。</translation>
    </message>
    <message>
        <source>Report</source>
        <translation>报告</translation>
    </message>
</context>
<context>
    <name>FindingsModel</name>
    <message>
        <source>Class</source>
        <translation>类别</translation>
    </message>
    <message>
        <source>Confidence</source>
        <translation>置信度</translation>
    </message>
    <message>
        <source>Length</source>
        <translation>长度</translation>
    </message>
    <message>
        <source>Review</source>
        <translation>审核</translation>
    </message>
    <message>
        <source>Run</source>
        <translation>运行</translation>
    </message>
    <message>
        <source>SAR</source>
        <translation>SAR</translation>
    </message>
    <message>
        <source>Prior</source>
        <translation>先验</translation>
    </message>
    <message>
        <source>No prior</source>
        <translation>无先验</translation>
    </message>
    <message>
        <source>No picture</source>
        <translation>无图像</translation>
    </message>
    <message>
        <source>Not at hand</source>
        <translation>不在本机</translation>
    </message>
    <message>
        <source>Where this was seen in the scene is not known.</source>
        <translation>不知道它在场景中的位置。</translation>
    </message>
    <message>
        <source>{source}; A01, A16, A09 as red, green, blue</source>
        <translation>{source}；A01、A16、A09 显示为红、绿、蓝</translation>
    </message>
</context>
<context>
    <name>FindingsPanel</name>
    <message>
        <source>accepted</source>
        <translation>已接受</translation>
    </message>
    <message>
        <source>rejected</source>
        <translation>已拒绝</translation>
    </message>
    <message>
        <source>relabelled</source>
        <translation>已改标</translation>
    </message>
    <message>
        <source>added</source>
        <translation>已添加</translation>
    </message>
    <message>
        <source>Accept</source>
        <translation>接受</translation>
    </message>
    <message>
        <source>Reject</source>
        <translation>拒绝</translation>
    </message>
    <message>
        <source>Relabel…</source>
        <translation>改标…</translation>
    </message>
    <message>
        <source>Undo</source>
        <translation>撤销</translation>
    </message>
    <message>
        <source>{action}: key {key}</source>
        <translation>{action}：按键 {key}</translation>
    </message>
    <message>
        <source>Findings: {n}</source>
        <translation>发现：{n}</translation>
    </message>
    <message>
        <source>Shown: {shown} of {n} · hidden by the filter: {hidden}</source>
        <translation>显示 {shown} / {n} · 被筛选隐藏：{hidden}</translation>
    </message>
    <message>
        <source>No findings yet. Interpret an area first.</source>
        <translation>还没有发现。请先解译一个区域。</translation>
    </message>
    <message>
        <source>Relabel</source>
        <translation>改标</translation>
    </message>
    <message>
        <source>What are the selected findings?</source>
        <translation>所选发现是什么？</translation>
    </message>
    <message>
        <source>Findings</source>
        <translation>结果</translation>
    </message>
    <message>
        <source>The map cannot show that place in its coordinate system.</source>
        <translation>地图无法在其坐标系中显示该位置。</translation>
    </message>
    <message>
        <source>hidden on the map by its least confidence: {n}</source>
        <translation>因最低置信度而在地图上隐藏：{n}</translation>
    </message>
</context>
<context>
    <name>FusarPlugin</name>
    <message>
        <source>Interpret SAR</source>
        <translation>解译 SAR</translation>
    </message>
    <message>
        <source>&lt;b&gt;Interpret SAR&lt;/b&gt;&lt;br&gt;Draw a rectangle on the active SAR layer</source>
        <translation>&lt;b&gt;解译 SAR&lt;/b&gt;&lt;br&gt;在当前 SAR 图层上绘制矩形</translation>
    </message>
    <message>
        <source>Open the sample scene</source>
        <translation>打开示例场景</translation>
    </message>
    <message>
        <source>Show the welcome</source>
        <translation>显示欢迎信息</translation>
    </message>
    <message>
        <source>Show as the model sees, or as before</source>
        <translation>按模型所见显示，或恢复原样</translation>
    </message>
    <message>
        <source>Open options…</source>
        <translation>打开选项…</translation>
    </message>
    <message>
        <source>Copy diagnostics</source>
        <translation>复制诊断信息</translation>
    </message>
    <message>
        <source>Write the report of a run…</source>
        <translation>写出一次运行的报告…</translation>
    </message>
</context>
<context>
    <name>HeatMap</name>
    <message>
        <source>Heat map (percentile)</source>
        <translation>热力图（百分位）</translation>
    </message>
</context>
<context>
    <name>Histogram</name>
    <message>
        <source>Histogram</source>
        <translation>直方图</translation>
    </message>
    <message>
        <source>Drag to choose a range, or an end of it. Arrow keys move its lower end, with Shift its upper end. Double-click or Esc: everything.</source>
        <translation>拖动以选择一个范围，或移动其一端。方向键移动下限，按住 Shift 移动上限。双击或按 Esc：全部。</translation>
    </message>
</context>
<context>
    <name>InstallPlanning</name>
    <message>
        <source>Everything is there already.</source>
        <translation>所需内容均已就绪。</translation>
    </message>
    <message>
        <source>About {disk} GB on the disk, {low} to {high} minutes.</source>
        <translation>约占用磁盘 {disk} GB，需 {low} 到 {high} 分钟。</translation>
    </message>
    <message>
        <source>About {download} GB to download, {disk} GB on the disk, {low} to {high} minutes.</source>
        <translation>约需下载 {download} GB，占用磁盘 {disk} GB，需 {low} 到 {high} 分钟。</translation>
    </message>
    <message>
        <source>%n package(s).</source>
        <translation>%n 个软件包。</translation>
    </message>
    <message>
        <source>Updating pip…</source>
        <translation>正在更新 pip……</translation>
    </message>
    <message>
        <source>Checking that everything can be had…</source>
        <translation>正在检查所需的软件包是否齐全……</translation>
    </message>
    <message>
        <source>Looking for the build of torch for this computer…</source>
        <translation>正在查找适合本机的 torch 版本……</translation>
    </message>
    <message>
        <source>The folder has no {package} for this computer and its Python, and the backend needs it. Make the folder on a computer of the same kind with the same Python, then try again.</source>
        <translation>该文件夹中没有适合本机及其 Python 的 {package}，而后端需要它。请在同类计算机上用同一版本的 Python 制作该文件夹，然后重试。</translation>
    </message>
    <message>
        <source>The package index that pip is set to does not answer. Check the network, or choose a wheel or a folder under “Install from”.</source>
        <translation>pip 所设的软件包索引没有响应。请检查网络，或在“安装来源”中选择 wheel 或文件夹。</translation>
    </message>
    <message>
        <source>The package index that pip is set to does not have fusar-gpt for this Python. Choose the backend's wheel, a folder of wheels or the source code under “Install from”.</source>
        <translation>pip 所设的软件包索引没有适合此 Python 的 fusar-gpt。请在“安装来源”中选择后端的 wheel、wheel 文件夹或源代码。</translation>
    </message>
    <message>
        <source>The package index that pip is set to has no {package} for this computer and its Python, and the backend needs it. Choose another Python, or a folder of wheels that holds it under “Install from”.</source>
        <translation>pip 所设的软件包索引没有适合本机及其 Python 的 {package}，而后端需要它。请选择另一个 Python，或在“安装来源”中选择包含它的 wheel 文件夹。</translation>
    </message>
    <message>
        <source>Nothing large was downloaded.</source>
        <translation>没有下载任何大文件。</translation>
    </message>
    <message>
        <source>pip cannot tell what would be installed: {reason}. Look at the log, then try again.</source>
        <translation>pip 无法确定将要安装的内容：{reason}。请查看日志，然后重试。</translation>
    </message>
    <message>
        <source>no reason given</source>
        <translation>未给出原因</translation>
    </message>
</context>
<context>
    <name>Interpretation</name>
    <message>
        <source>Drag a rectangle around the area to interpret.</source>
        <translation>拖动鼠标，框选要解译的区域。</translation>
    </message>
    <message>
        <source>Draw a &amp;Polygon</source>
        <translation>绘制多边形(&amp;P)</translation>
    </message>
    <message>
        <source>Click its corners; right-click ends</source>
        <translation>单击各个角点；右键单击结束</translation>
    </message>
    <message>
        <source>Current &amp;View</source>
        <translation>当前视图(&amp;V)</translation>
    </message>
    <message>
        <source>What the map shows of the SAR layer</source>
        <translation>地图所显示的 SAR 图层部分</translation>
    </message>
    <message>
        <source>&amp;Selected Features</source>
        <translation>选中的要素(&amp;S)</translation>
    </message>
    <message>
        <source>The selected polygons of a vector layer</source>
        <translation>矢量图层中选中的多边形</translation>
    </message>
    <message>
        <source>Whole &amp;Layer</source>
        <translation>整个图层(&amp;L)</translation>
    </message>
    <message>
        <source>All of the SAR layer</source>
        <translation>SAR 图层的全部范围</translation>
    </message>
    <message>
        <source>Click the corners of the area. Right-click or Enter ends, Backspace takes a corner back.</source>
        <translation>单击区域的各个角点。右键单击或回车结束，退格键撤回一个角点。</translation>
    </message>
    <message>
        <source>The backend does not have the scene yet. Start sends the area.</source>
        <translation>后端还没有该影像。点击“开始”将发送该区域。</translation>
    </message>
    <message>
        <source>Sending the area to the backend…</source>
        <translation>正在把区域发送给后端……</translation>
    </message>
    <message>
        <source>“{active}” is not a SAR layer, so “{scene}” is interpreted.</source>
        <translation>“{active}”不是 SAR 图层，因此解译“{scene}”。</translation>
    </message>
</context>
<context>
    <name>Job</name>
    <message>
        <source>The backend stopped in mid-run and has lost the run. Start the run again.</source>
        <translation>后端在运行中停止，并丢失了该次运行。请重新运行。</translation>
    </message>
    <message>
        <source>The backend stopped in mid-run and did not come back.</source>
        <translation>后端在运行中停止，且没有恢复。</translation>
    </message>
</context>
<context>
    <name>JsonQuery</name>
    <message>
        <source>There is no backend on this computer yet. Open the FUSAR-GPT options and press Install.</source>
        <translation>本机尚无后端。请打开 FUSAR-GPT 选项并点击“安装”。</translation>
    </message>
    <message>
        <source>The backend on this computer does not answer: {reason}. Press Repair in the options.</source>
        <translation>本机的后端没有响应：{reason}。请在选项中点击“修复”。</translation>
    </message>
    <message>
        <source>no reason given</source>
        <translation>未给出原因</translation>
    </message>
</context>
<context>
    <name>Labels</name>
    <message>
        <source>no data</source>
        <translation>无数据</translation>
    </message>
    <message>
        <source>none: this model has no calibration</source>
        <translation>无：该模型未经校准</translation>
    </message>
</context>
<context>
    <name>LocalSection</name>
    <message>
        <source>Choose a folder for the backend</source>
        <translation>选择后端的文件夹</translation>
    </message>
    <message>
        <source>Folder of wheels, or of the source code</source>
        <translation>wheel 文件夹或源代码文件夹</translation>
    </message>
    <message>
        <source>Wheel file</source>
        <translation>wheel 文件</translation>
    </message>
    <message>
        <source>Choose a Python 3.10 or newer</source>
        <translation>选择 Python 3.10 或更高版本</translation>
    </message>
    <message>
        <source>Found by itself</source>
        <translation>自动查找</translation>
    </message>
    <message>
        <source>Choose the program “fusar”</source>
        <translation>选择程序“fusar”</translation>
    </message>
    <message>
        <source>“fusar” on the PATH</source>
        <translation>PATH 中的“fusar”</translation>
    </message>
    <message>
        <source>&amp;Install</source>
        <translation>安装(&amp;I)</translation>
    </message>
    <message>
        <source>&amp;Repair</source>
        <translation>修复(&amp;R)</translation>
    </message>
    <message>
        <source>Remove the backend and install it again</source>
        <translation>移除后端并重新安装</translation>
    </message>
    <message>
        <source>Remo&amp;ve…</source>
        <translation>移除(&amp;V)……</translation>
    </message>
    <message>
        <source>State</source>
        <translation>状态</translation>
    </message>
    <message>
        <source>Install &amp;from</source>
        <translation>安装来源(&amp;F)</translation>
    </message>
    <message>
        <source>Into fol&amp;der</source>
        <translation>安装到文件夹(&amp;D)</translation>
    </message>
    <message>
        <source>&amp;Python</source>
        <translation>Python 解释器(&amp;P)</translation>
    </message>
    <message>
        <source>Pro&amp;gram</source>
        <translation>程序(&amp;G)</translation>
    </message>
    <message>
        <source>The “fusar” that is started. Installing sets it.</source>
        <translation>要启动的“fusar”。安装时会自动设置。</translation>
    </message>
    <message>
        <source>Choose a folder of wheels, or of the source code</source>
        <translation>选择 wheel 文件夹或源代码文件夹</translation>
    </message>
    <message>
        <source>Wheel</source>
        <translation>wheel 文件</translation>
    </message>
    <message>
        <source>Choose the backend&apos;s wheel</source>
        <translation>选择后端的 wheel 文件</translation>
    </message>
    <message>
        <source>Not installed.</source>
        <translation>未安装。</translation>
    </message>
    <message>
        <source>Installed.</source>
        <translation>已安装。</translation>
    </message>
    <message>
        <source>Damaged or only half installed. Press Repair.</source>
        <translation>已损坏或只安装了一半。请点击“修复”。</translation>
    </message>
    <message>
        <source>The folder holds other things. Choose an empty or a new one.</source>
        <translation>该文件夹中有其他内容。请选择空文件夹或新文件夹。</translation>
    </message>
    <message>
        <source>Not installed here; “{program}” is used.</source>
        <translation>此处未安装；使用“{program}”。</translation>
    </message>
    <message>
        <source>&amp;Update</source>
        <translation>更新(&amp;U)</translation>
    </message>
    <message>
        <source>There is no backend to install at “{place}”. Choose a folder with fusar_gpt-….whl and the packages it needs, a folder of the source code, or a wheel.</source>
        <translation>“{place}”处没有可安装的后端。请选择包含 fusar_gpt-….whl 及其所需软件包的文件夹、源代码文件夹或 wheel 文件。</translation>
    </message>
    <message>
        <source>Remove the backend</source>
        <translation>移除后端</translation>
    </message>
    <message>
        <source>Delete the backend&apos;s environment in {folder}? Models and results stay.</source>
        <translation>删除 {folder} 中的后端环境？模型和结果会保留。</translation>
    </message>
    <message>
        <source>&amp;Remove</source>
        <translation>移除(&amp;R)</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
    <message>
        <source>Choose a wheel or a folder to install from first.</source>
        <translation>请先选择用于安装的 wheel 文件或文件夹。</translation>
    </message>
    <message>
        <source>Package index (needs the network)</source>
        <translation>软件包索引（需要网络）</translation>
    </message>
    <message>
        <source>Empty: the same as for the other packages</source>
        <translation>留空：与其他软件包相同</translation>
    </message>
    <message>
        <source>The address of one more package index, in which torch is looked for too. PyTorch's page “Get Started” names the one with the CPU builds (choose “CPU”) and those for NVIDIA GPUs.</source>
        <translation>另一个软件包索引的地址，也会在其中查找 torch。PyTorch 的“Get Started”页面给出 CPU 版本的索引（选择“CPU”）以及用于 NVIDIA GPU 的索引。</translation>
    </message>
    <message>
        <source>Install it anyway</source>
        <translation>仍然安装</translation>
    </message>
    <message>
        <source>Open the sample scene</source>
        <translation>打开示例影像</translation>
    </message>
    <message>
        <source>Inde&amp;x for torch</source>
        <translation>torch 的软件包索引(&amp;X)</translation>
    </message>
    <message>
        <source>For the NVIDIA GPU.</source>
        <translation>用于 NVIDIA GPU。</translation>
    </message>
    <message>
        <source>For the CPU; for the NVIDIA GPU fill in “Index for torch”.</source>
        <translation>用于 CPU；要使用 NVIDIA GPU，请填写“torch 的软件包索引”。</translation>
    </message>
    <message>
        <source>For the CPU: there is no NVIDIA GPU.</source>
        <translation>用于 CPU：没有 NVIDIA GPU。</translation>
    </message>
</context>
<context>
    <name>LookCloser</name>
    <message>
        <source>Look closer (3 by 3)</source>
        <translation>细看（3×3）</translation>
    </message>
    <message>
        <source>Look closer at cell {cell}</source>
        <translation>细看第 {cell} 格</translation>
    </message>
</context>
<context>
    <name>Messages</name>
    <message>
        <source>Details</source>
        <translation>详情</translation>
    </message>
</context>
<context>
    <name>ModelGrey</name>
    <message>
        <source>Show as the model sees</source>
        <translation>按模型所见显示</translation>
    </message>
    <message>
        <source>{name} (as the model sees)</source>
        <translation>{name}（模型所见）</translation>
    </message>
</context>
<context>
    <name>ModelMenu</name>
    <message>
        <source>The prior and the model that questions are answered with</source>
        <translation>回答问题所用的先验和模型</translation>
    </message>
    <message>
        <source>Prior</source>
        <translation>先验</translation>
    </message>
    <message>
        <source>&amp;No prior: from the image alone</source>
        <translation>无先验：仅凭影像(&amp;N)</translation>
    </message>
    <message>
        <source>&amp;File…</source>
        <translation>文件(&amp;F)……</translation>
    </message>
    <message>
        <source>&amp;Year of the prior</source>
        <translation>先验年份(&amp;Y)</translation>
    </message>
    <message>
        <source>Of the scene</source>
        <translation>影像的年份</translation>
    </message>
    <message>
        <source>&amp;Model</source>
        <translation>模型(&amp;M)</translation>
    </message>
    <message>
        <source>{model} (demonstration)</source>
        <translation>{model}（演示）</translation>
    </message>
    <message>
        <source>Choose a prior</source>
        <translation>选择先验</translation>
    </message>
    <message>
        <source>Prior: 64-band raster or AlphaEarth points</source>
        <translation>先验：64 波段栅格或 AlphaEarth 点</translation>
    </message>
    <message>
        <source>none</source>
        <translation>无</translation>
    </message>
    <message>
        <source>automatic</source>
        <translation>自动</translation>
    </message>
    <message>
        <source>&amp;Prior: {prior}</source>
        <translation>先验(&amp;P)：{prior}</translation>
    </message>
    <message>
        <source>&amp;Automatic: at hand, else fetched</source>
        <translation>自动：先用手头的，否则获取(&amp;A)</translation>
    </message>
</context>
<context>
    <name>Models</name>
    <message>
        <source>{model} (demonstration)</source>
        <translation>{model}（演示）</translation>
    </message>
</context>
<context>
    <name>ModelsSection</name>
    <message>
        <source>The bundled demonstration model</source>
        <translation>内置的演示模型</translation>
    </message>
    <message>
        <source>&amp;Download the released 7B model (about 17 GB)</source>
        <translation>下载已发布的 7B 模型（约 17 GB）(&amp;D)</translation>
    </message>
    <message>
        <source>Choose the released folder</source>
        <translation>选择已发布模型的文件夹</translation>
    </message>
    <message>
        <source>Choose the folder of Qwen2.5-VL</source>
        <translation>选择 Qwen2.5-VL 的文件夹</translation>
    </message>
    <message>
        <source>From the folder; older folders need it: 2</source>
        <translation>由文件夹给出；较旧的文件夹需要：2</translation>
    </message>
    <message>
        <source>&amp;Import</source>
        <translation>导入(&amp;I)</translation>
    </message>
    <message>
        <source>Running now</source>
        <translation>正在运行</translation>
    </message>
    <message>
        <source>&amp;Model to run</source>
        <translation>要运行的模型(&amp;M)</translation>
    </message>
    <message>
        <source>Get the released model (needs a GPU of 24 GB)</source>
        <translation>获取已发布的模型（需要 24 GB 的 GPU）</translation>
    </message>
    <message>
        <source>Or, with the files at hand:</source>
        <translation>或者，如已有文件：</translation>
    </message>
    <message>
        <source>Released &amp;folder</source>
        <translation>已发布模型的文件夹(&amp;F)</translation>
    </message>
    <message>
        <source>&amp;Base (Qwen2.5-VL)</source>
        <translation>基座（Qwen2.5-VL）(&amp;B)</translation>
    </message>
    <message>
        <source>&amp;Name it</source>
        <translation>命名为(&amp;N)</translation>
    </message>
    <message>
        <source>Si&amp;gma</source>
        <translation>Sigma 值(&amp;G)</translation>
    </message>
    <message>
        <source>It cannot be loaded: {problem}</source>
        <translation>无法加载：{problem}</translation>
    </message>
    <message>
        <source>{name}, {size}.</source>
        <translation>{name}，{size}。</translation>
    </message>
    <message>
        <source>It shows how the work is done; do not rely on its answers.</source>
        <translation>它用于演示工作流程；请勿依赖其回答。</translation>
    </message>
    <message>
        <source>No backend is running; it starts when it is needed.</source>
        <translation>没有后端在运行；需要时会启动。</translation>
    </message>
    <message>
        <source>{size} used</source>
        <translation>已用 {size}</translation>
    </message>
    <message>
        <source>{size} free</source>
        <translation>可用 {size}</translation>
    </message>
    <message>
        <source>{size} of the GPU used</source>
        <translation>GPU 已用 {size}</translation>
    </message>
    <message>
        <source>{size} of the GPU free</source>
        <translation>GPU 可用 {size}</translation>
    </message>
    <message>
        <source>{models} on {device}</source>
        <translation>{device} 上的 {models}</translation>
    </message>
</context>
<context>
    <name>ObstacleNote</name>
    <message>
        <source>Open options…</source>
        <translation>打开选项…</translation>
    </message>
    <message>
        <source>Try again</source>
        <translation>重试</translation>
    </message>
</context>
<context>
    <name>Obstacles</name>
    <message>
        <source>The layer “{scene}” is no longer in the project. Choose an area of another one.</source>
        <translation>图层“{scene}”已不在工程中。请选择另一个图层上的区域。</translation>
    </message>
    <message>
        <source>The area is empty. Draw one on the scene.</source>
        <translation>区域为空。请在影像上绘制一个区域。</translation>
    </message>
    <message>
        <source>The area lies outside the scene “{scene}”. Draw one on the scene.</source>
        <translation>区域位于影像“{scene}”之外。请在影像上绘制一个区域。</translation>
    </message>
</context>
<context>
    <name>Options</name>
    <message>
        <source>The diagnostics are on the clipboard. Known secrets are hidden; read them before you send them.</source>
        <translation>诊断信息已复制到剪贴板。已知的机密已隐藏；发送前请先通读。</translation>
    </message>
    <message>
        <source>Set up…</source>
        <translation>设置……</translation>
    </message>
    <message>
        <source>Install…</source>
        <translation>安装……</translation>
    </message>
    <message>
        <source>Choose a server…</source>
        <translation>选择服务器……</translation>
    </message>
    <message>
        <source>Open the sample scene</source>
        <translation>打开示例影像</translation>
    </message>
    <message>
        <source>Install it anyway</source>
        <translation>仍然安装</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
</context>
<context>
    <name>OptionsPage</name>
    <message>
        <source>on this &amp;computer</source>
        <translation>在本机(&amp;C)</translation>
    </message>
    <message>
        <source>on a &amp;server</source>
        <translation>在服务器(&amp;S)</translation>
    </message>
    <message>
        <source>This computer</source>
        <translation>本机</translation>
    </message>
    <message>
        <source>Server</source>
        <translation>服务器</translation>
    </message>
    <message>
        <source>Models</source>
        <translation>模型</translation>
    </message>
    <message>
        <source>Results and review</source>
        <translation>结果与审核</translation>
    </message>
    <message>
        <source>The model runs</source>
        <translation>模型运行于</translation>
    </message>
    <message>
        <source>The token is kept only until QGIS is closed. {reason}</source>
        <translation>令牌只保留到 QGIS 关闭。{reason}</translation>
    </message>
    <message>
        <source>Copy diagnostics</source>
        <translation>复制诊断信息</translation>
    </message>
    <message>
        <source>Copy versions, settings without secrets and the last errors as text for a report</source>
        <translation>将版本、不含密钥的设置和最近的错误复制为报告文本</translation>
    </message>
    <message>
        <source>Copied</source>
        <translation>已复制</translation>
    </message>
</context>
<context>
    <name>PictureMaker</name>
    <message>
        <source>Pictures of findings</source>
        <translation>结果的图片</translation>
    </message>
</context>
<context>
    <name>PlaceLayers</name>
    <message>
        <source>The heat map cannot be written: {reason}. It is shown until you close QGIS; the places are kept.</source>
        <translation>无法写入热力图：{reason}。它会显示到您关闭 QGIS 为止；找到的地点已保存。</translation>
    </message>
</context>
<context>
    <name>PlaceSearch</name>
    <message>
        <source>The search was stopped on the backend. Search again.</source>
        <translation>搜索在后端被停止。请重新搜索。</translation>
    </message>
    <message>
        <source>Places of a search</source>
        <translation>搜索得到的地点</translation>
    </message>
</context>
<context>
    <name>PlacesModel</name>
    <message>
        <source>Place {rank}</source>
        <translation>地点 {rank}</translation>
    </message>
    <message>
        <source>more like it than {percent} % of the scene</source>
        <translation>比影像中 {percent} % 的地方更相似</translation>
    </message>
    <message>
        <source>more like it than {percent} % of the area</source>
        <translation>比该范围中 {percent} % 的地方更相似</translation>
    </message>
    <message>
        <source>A square of {side} m</source>
        <translation>边长 {side} 米的正方形</translation>
    </message>
    <message>
        <source>Similarity {number}, which ranks the places and says nothing by itself</source>
        <translation>相似度 {number}，只用于给地点排序，数值本身没有意义</translation>
    </message>
</context>
<context>
    <name>PolygonTool</name>
    <message>
        <source>The outline crosses itself. Take corners back with Backspace.</source>
        <translation>轮廓自相交。请用退格键撤回角点。</translation>
    </message>
</context>
<context>
    <name>PreviewPanel</name>
    <message>
        <source>Send It and S&amp;how</source>
        <translation>发送并显示(&amp;H)</translation>
    </message>
    <message>
        <source>What the model sees</source>
        <translation>模型所见</translation>
    </message>
    <message>
        <source>Prior</source>
        <translation>先验</translation>
    </message>
    <message>
        <source>Wait…</source>
        <translation>请稍候……</translation>
    </message>
    <message>
        <source>No prior</source>
        <translation>无先验</translation>
    </message>
    <message>
        <source>No prior here</source>
        <translation>此处无先验</translation>
    </message>
    <message>
        <source>One chip, {width:,.0f} m wide.</source>
        <translation>一个切片，宽 {width:,.0f} 米。</translation>
    </message>
    <message>
        <source>{band}: 8-bit greys, as they are.</source>
        <translation>{band}：8 位灰度，保持原样。</translation>
    </message>
    <message>
        <source>{band}: {low:.0f} to {high:.0f} dB from black to white.</source>
        <translation>{band}：从黑到白为 {low:.0f} 至 {high:.0f} dB。</translation>
    </message>
    <message>
        <source>{source}, {year}</source>
        <translation>{source}，{year} 年</translation>
    </message>
    <message>
        <source>{source}, year not stated</source>
        <translation>{source}，未说明年份</translation>
    </message>
    <message>
        <source>simulated</source>
        <translation>模拟</translation>
    </message>
    <message>
        <source>Taken for {reason}.</source>
        <translation>判定为：{reason}。</translation>
    </message>
    <message>
        <source>%n vector(s); A01, A16, A09 as red, green, blue.</source>
        <translation>%n 个向量；A01、A16、A09 显示为红、绿、蓝。</translation>
    </message>
</context>
<context>
    <name>Prior</name>
    <message>
        <source>“{file}” is no raster of 64 bands: its prior is not drawn here.</source>
        <translation>“{file}”不是 64 个波段的栅格：这里不绘制它的先验。</translation>
    </message>
    <message>
        <source>The file of the prior cannot be read. It is damaged or gone.</source>
        <translation>无法读取先验文件。它已损坏或不存在。</translation>
    </message>
    <message>
        <source>The prior&apos;s file has no data at this place.</source>
        <translation>先验文件在此处没有数据。</translation>
    </message>
    <message>
        <source>There was no prior at this place.</source>
        <translation>此处没有先验。</translation>
    </message>
    <message>
        <source>The prior was fetched ({source}), and its pixels are not kept with the run.</source>
        <translation>先验是下载的（{source}），其像素没有随运行保存。</translation>
    </message>
    <message>
        <source>The prior's file “{file}” is not there any more.</source>
        <translation>先验文件“{file}”已不存在。</translation>
    </message>
    <message>
        <source>The prior's file “{file}” is newer than the run: it may be another one by now.</source>
        <translation>先验文件“{file}”比这次运行新：它可能已是另一个文件。</translation>
    </message>
    <message>
        <source>The prior's file “{file}” is of another year than the run's prior.</source>
        <translation>先验文件“{file}”的年份与运行所用的先验不同。</translation>
    </message>
</context>
<context>
    <name>PriorCheck</name>
    <message>
        <source>Prior from the network</source>
        <translation>来自网络的先验</translation>
    </message>
    <message>
        <source>It may not be fetched from the network.</source>
        <translation>不允许从网络获取。</translation>
    </message>
</context>
<context>
    <name>PriorChoice</name>
    <message>
        <source>Prior: 64-band raster or AlphaEarth points</source>
        <translation>先验：64 波段栅格或 AlphaEarth 点</translation>
    </message>
    <message>
        <source>Choose a prior</source>
        <translation>选择先验</translation>
    </message>
    <message>
        <source>Choose a file</source>
        <translation>选择文件</translation>
    </message>
    <message>
        <source>Not given</source>
        <translation>未给出</translation>
    </message>
    <message>
        <source>Go &amp;on without a prior where none can be had</source>
        <translation>无法获得先验时继续(&amp;O)</translation>
    </message>
    <message>
        <source>&amp;Prior</source>
        <translation>先验(&amp;P)</translation>
    </message>
    <message>
        <source>Prior f&amp;ile</source>
        <translation>先验文件(&amp;I)</translation>
    </message>
    <message>
        <source>&amp;Year of the prior</source>
        <translation>先验年份(&amp;Y)</translation>
    </message>
    <message>
        <source>None: from the image alone</source>
        <translation>无：仅凭影像</translation>
    </message>
    <message>
        <source>AlphaEarth, public files</source>
        <translation>AlphaEarth，公开文件</translation>
    </message>
    <message>
        <source>AlphaEarth, Google Earth Engine</source>
        <translation>AlphaEarth，Google Earth Engine（地球引擎）</translation>
    </message>
    <message>
        <source>A file…</source>
        <translation>文件……</translation>
    </message>
    <message>
        <source>The scene does not say when it was taken.</source>
        <translation>影像未说明拍摄时间。</translation>
    </message>
    <message>
        <source>The scene was taken on {day}.</source>
        <translation>影像拍摄于 {day}。</translation>
    </message>
    <message>
        <source>The scene&apos;s file is of {day}; that may be the day of its processing.</source>
        <translation>影像文件的日期为 {day}；可能是处理日期。</translation>
    </message>
    <message>
        <source>Automatic: at hand, else fetched</source>
        <translation>自动：先用手头的，否则获取</translation>
    </message>
    <message>
        <source>There is a prior of this scene, which is not used: {file}</source>
        <translation>此场景有先验，但未使用：{file}</translation>
    </message>
    <message>
        <source>Prior beside the scene: {file}</source>
        <translation>场景旁的先验：{file}</translation>
    </message>
    <message>
        <source>At hand: {source}. Nothing is fetched.</source>
        <translation>手头已有：{source}。无需获取。</translation>
    </message>
    <message>
        <source>No prior can be had for this place.</source>
        <translation>此处无法获得先验。</translation>
    </message>
    <message>
        <source>Fetched from {hosts}.</source>
        <translation>从 {hosts} 获取。</translation>
    </message>
    <message>
        <source>Not fetched from the network: so you have answered. The options change that.</source>
        <translation>按您的回答，不从网络获取。可在选项中更改。</translation>
    </message>
    <message>
        <source>The prior beside the scene covers a part: {file}</source>
        <translation>场景旁的先验只覆盖一部分：{file}</translation>
    </message>
    <message>
        <source>Choose the file of the prior, or another prior.</source>
        <translation>请选择先验文件，或选择其他先验。</translation>
    </message>
    <message>
        <source>The prior file “{file}” is not there, or cannot be read. Choose another one.</source>
        <translation>先验文件“{file}”不存在或无法读取。请选择其他文件。</translation>
    </message>
</context>
<context>
    <name>PriorComparison</name>
    <message>
        <source>Compare With and Without Prior</source>
        <translation>比较有无先验</translation>
    </message>
    <message>
        <source>Choose a layer of detections of a run first.</source>
        <translation>请先选择一次运行的检测图层。</translation>
    </message>
    <message>
        <source>No prior could be had, so there is nothing to compare.</source>
        <translation>未能获得先验，因此无可比较。</translation>
    </message>
    <message>
        <source>Nothing was found with or without the prior.</source>
        <translation>有无先验均未发现目标。</translation>
    </message>
    <message>
        <source>What the prior changed ({prior})</source>
        <translation>先验带来的变化（{prior}）</translation>
    </message>
</context>
<context>
    <name>Processing</name>
    <message>
        <source>Ask a question</source>
        <translation>提问</translation>
    </message>
    <message>
        <source>Interpretation</source>
        <translation>解译</translation>
    </message>
    <message>
        <source>Priors</source>
        <translation>先验</translation>
    </message>
    <message>
        <source>Training and evaluation</source>
        <translation>训练与评估</translation>
    </message>
    <message>
        <source>{name} ({done} of {total}): chip {chip} of {chips}</source>
        <translation>{name}（{done}/{total}）：切片 {chip}/{chips}</translation>
    </message>
    <message>
        <source>The backend was lost; what was under way is asked again.</source>
        <translation>与后端的连接丢失；正在处理的部分将重新提问。</translation>
    </message>
    <message>
        <source>somebody else cancelled it on the backend</source>
        <translation>他人已在后端取消</translation>
    </message>
    <message>
        <source>Boxes</source>
        <translation>框</translation>
    </message>
    <message>
        <source>Classified boxes</source>
        <translation>分类后的框</translation>
    </message>
    <message>
        <source>on no raster</source>
        <translation>不在任何栅格上</translation>
    </message>
    <message>
        <source>Classify boxes</source>
        <translation>对框分类</translation>
    </message>
    <message>
        <source>Marked: found, false, missed</source>
        <translation>标注：命中、虚警、漏检</translation>
    </message>
    <message>
        <source>Figures</source>
        <translation>指标</translation>
    </message>
    <message>
        <source>Precision</source>
        <translation>精确率</translation>
    </message>
    <message>
        <source>Recall</source>
        <translation>召回率</translation>
    </message>
    <message>
        <source>F1</source>
        <translation>F1 值</translation>
    </message>
    <message>
        <source>Compare with truth</source>
        <translation>与真值比较</translation>
    </message>
    <message>
        <source>Detections</source>
        <translation>检测结果</translation>
    </message>
    <message>
        <source>Field of the class</source>
        <translation>类别字段</translation>
    </message>
    <message>
        <source>Empty here or for the truth: classes do not count.</source>
        <translation>此处或真值处为空：不区分类别。</translation>
    </message>
    <message>
        <source>Field of the score</source>
        <translation>得分字段</translation>
    </message>
    <message>
        <source>Least score</source>
        <translation>最低得分</translation>
    </message>
    <message>
        <source>Detections of a lower score are left out.</source>
        <translation>得分更低的检测结果不计入。</translation>
    </message>
    <message>
        <source>Truth</source>
        <translation>真值</translation>
    </message>
    <message>
        <source>Field of the true class</source>
        <translation>真实类别字段</translation>
    </message>
    <message>
        <source>Field that marks doubtful objects</source>
        <translation>标记可疑对象的字段</translation>
    </message>
    <message>
        <source>Neither found nor missed; what was detected there is ignored.</source>
        <translation>既不算命中也不算漏检；其上的检测结果忽略不计。</translation>
    </message>
    <message>
        <source>Least overlap (intersection over union)</source>
        <translation>最小重叠（交并比）</translation>
    </message>
    <message>
        <source>found</source>
        <translation>命中</translation>
    </message>
    <message>
        <source>false</source>
        <translation>虚警</translation>
    </message>
    <message>
        <source>missed</source>
        <translation>漏检</translation>
    </message>
    <message>
        <source>ignored</source>
        <translation>忽略</translation>
    </message>
    <message>
        <source>Count objects</source>
        <translation>对象计数</translation>
    </message>
    <message>
        <source>Describe in words</source>
        <translation>用文字描述</translation>
    </message>
    <message>
        <source>Describes what is seen in each chip of an area.</source>
        <translation>描述区域内每个切片中所见的内容。</translation>
    </message>
    <message>
        <source>Detect objects</source>
        <translation>检测对象</translation>
    </message>
    <message>
        <source>Extent</source>
        <translation>范围</translation>
    </message>
    <message>
        <source>Year</source>
        <translation>年份</translation>
    </message>
    <message>
        <source>Source</source>
        <translation>来源</translation>
    </message>
    <message>
        <source>Prior (GeoTIFF)</source>
        <translation>先验（GeoTIFF）</translation>
    </message>
    <message>
        <source>Name an output file that ends in .tif.</source>
        <translation>请给出以 .tif 结尾的输出文件名。</translation>
    </message>
    <message>
        <source>Fetch AlphaEarth prior</source>
        <translation>获取 AlphaEarth 先验</translation>
    </message>
    <message>
        <source>The task ask needs a question.</source>
        <translation>“提问”任务需要一个问题。</translation>
    </message>
    <message>
        <source>Interpret areas</source>
        <translation>解译区域</translation>
    </message>
    <message>
        <source>Choose at least one raster.</source>
        <translation>请至少选择一个栅格。</translation>
    </message>
    <message>
        <source>Journal: {path}</source>
        <translation>日志：{path}</translation>
    </message>
    <message>
        <source>Cancelled.</source>
        <translation>已取消。</translation>
    </message>
    <message>
        <source>Nothing could be interpreted: {reason}</source>
        <translation>没有可解译的内容：{reason}</translation>
    </message>
    <message>
        <source>The polygons have no CRS. Set it in the layer&apos;s properties.</source>
        <translation>多边形没有坐标系。请在图层属性中设置。</translation>
    </message>
    <message>
        <source>No polygon lies on a raster. Check the CRS of both.</source>
        <translation>没有多边形落在栅格上。请检查两者的坐标系。</translation>
    </message>
    <message>
        <source>Left out: {raster}: {reason}</source>
        <translation>未包括：{raster}：{reason}</translation>
    </message>
    <message>
        <source>No raster can be interpreted: {reason}</source>
        <translation>没有可解译的栅格：{reason}</translation>
    </message>
    <message>
        <source>The journal cannot be used: {error}. Name another file.</source>
        <translation>无法使用日志：{error}。请指定其他文件。</translation>
    </message>
    <message>
        <source>Locate objects in a grid</source>
        <translation>在网格中定位对象</translation>
    </message>
    <message>
        <source>Lays a 3 by 3 grid over each chip and says in which cells the targets are.</source>
        <translation>在每个切片上铺设 3×3 网格，并指出目标在哪些格中。</translation>
    </message>
    <message>
        <source>SAR rasters</source>
        <translation>SAR 栅格</translation>
    </message>
    <message>
        <source>Areas</source>
        <translation>区域</translation>
    </message>
    <message>
        <source>Targets, separated by commas</source>
        <translation>目标，用逗号分隔</translation>
    </message>
    <message>
        <source>Such as: ship, plane. Empty: all that the model knows.</source>
        <translation>例如：ship, plane。为空：模型认识的全部目标。</translation>
    </message>
    <message>
        <source>Question</source>
        <translation>问题</translation>
    </message>
    <message>
        <source>Task</source>
        <translation>任务</translation>
    </message>
    <message>
        <source>Grid</source>
        <translation>网格</translation>
    </message>
    <message>
        <source>Answers</source>
        <translation>回答</translation>
    </message>
    <message>
        <source>Runs: what was done, with provenance, and what was left out</source>
        <translation>运行记录：做了什么、来源信息以及未包括的内容</translation>
    </message>
    <message>
        <source>Finished (scene, area) pairs</source>
        <translation>已完成的（影像，区域）对</translation>
    </message>
    <message>
        <source>Of these, from the journal</source>
        <translation>其中来自日志</translation>
    </message>
    <message>
        <source>Pairs that failed</source>
        <translation>失败的对</translation>
    </message>
    <message>
        <source>Rasters that could not be used</source>
        <translation>无法使用的栅格</translation>
    </message>
    <message>
        <source>Number of findings</source>
        <translation>结果数</translation>
    </message>
    <message>
        <source>Prior (AlphaEarth vectors of the place)</source>
        <translation>先验（该地点的 AlphaEarth 向量）</translation>
    </message>
    <message>
        <source>Prior from a file (64-band raster, npz, npy) instead</source>
        <translation>改用文件中的先验（64 波段栅格、npz、npy）</translation>
    </message>
    <message>
        <source>Year of the prior</source>
        <translation>先验年份</translation>
    </message>
    <message>
        <source>Go on without a prior where none can be had</source>
        <translation>无法获得先验时继续</translation>
    </message>
    <message>
        <source>Empty: the year of the scene.</source>
        <translation>为空：影像的年份。</translation>
    </message>
    <message>
        <source>Band</source>
        <translation>波段</translation>
    </message>
    <message>
        <source>Ground side of a chip in metres</source>
        <translation>切片的地面边长（米）</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>模型</translation>
    </message>
    <message>
        <source>Empty: VV, else HH, else the first.</source>
        <translation>为空：VV，其次 HH，再次第一个波段。</translation>
    </message>
    <message>
        <source>Empty: as the model was trained.</source>
        <translation>为空：与模型训练时相同。</translation>
    </message>
    <message>
        <source>A name that the backend offers. Empty: the one it runs.</source>
        <translation>后端提供的模型名称。为空：后端正在运行的模型。</translation>
    </message>
    <message>
        <source>Journal file</source>
        <translation>日志文件</translation>
    </message>
    <message>
        <source>Journals</source>
        <translation>日志</translation>
    </message>
    <message>
        <source>SAR raster</source>
        <translation>SAR 栅格</translation>
    </message>
    <message>
        <source>Truth polygons</source>
        <translation>真值多边形</translation>
    </message>
    <message>
        <source>Field of the finer class</source>
        <translation>细类字段</translation>
    </message>
    <message>
        <source>Side of a chip in pixels</source>
        <translation>切片边长（像素）</translation>
    </message>
    <message>
        <source>Keep chips without objects</source>
        <translation>保留没有对象的切片</translation>
    </message>
    <message>
        <source>Every object of these classes is marked</source>
        <translation>这些类别的所有对象均已标注</translation>
    </message>
    <message>
        <source>Without this, no chip can teach how many there are, or none.</source>
        <translation>否则，任何切片都不能用于学习数量或“无目标”。</translation>
    </message>
    <message>
        <source>Name of the data set</source>
        <translation>数据集名称</translation>
    </message>
    <message>
        <source>Sensor</source>
        <translation>传感器</translation>
    </message>
    <message>
        <source>Licence</source>
        <translation>许可</translation>
    </message>
    <message>
        <source>Folder of records</source>
        <translation>记录文件夹</translation>
    </message>
    <message>
        <source>Number of chips</source>
        <translation>切片数</translation>
    </message>
    <message>
        <source>Number of objects</source>
        <translation>对象数</translation>
    </message>
    <message>
        <source>{folder} is there already: name a new folder.</source>
        <translation>{folder} 已存在：请指定新文件夹。</translation>
    </message>
    <message>
        <source>No object lies on the raster.</source>
        <translation>没有对象落在栅格上。</translation>
    </message>
    <message>
        <source>{folder} cannot be written: {reason}</source>
        <translation>无法写入 {folder}：{reason}</translation>
    </message>
    <message>
        <source>Feature {id} has no class in the field {field}.</source>
        <translation>要素 {id} 的字段 {field} 中没有类别。</translation>
    </message>
    <message>
        <source>Prepare training chips</source>
        <translation>制作训练切片</translation>
    </message>
    <message>
        <source>A result cannot be written ({reason}). Check the folder and its free space.</source>
        <translation>无法写入结果（{reason}）。请检查文件夹及其剩余空间。</translation>
    </message>
    <message>
        <source>“{path}” has no georeferencing. Georeference it first.</source>
        <translation>“{path}”没有地理参考。请先进行地理配准。</translation>
    </message>
    <message>
        <source>Failed: {name}: {reason}</source>
        <translation>失败：{name}：{reason}</translation>
    </message>
    <message>
        <source> (from the journal)</source>
        <translation>（来自日志）</translation>
    </message>
    <message>
        <source>A prior is fetched by the program “fusar” of this computer, which was not found. Install it with “pip install fusar-gpt”, or set the variable FUSAR_EXECUTABLE.</source>
        <translation>先验由本机的程序“fusar”获取，但未找到它。请用“pip install fusar-gpt”安装，或设置变量 FUSAR_EXECUTABLE。</translation>
    </message>
    <message>
        <source>Fetches the AlphaEarth Foundations embeddings of a place and year as a raster of 64 bands (int8 codes, 10 m), which “Prior from a file” of the other algorithms takes, to work offline later. It needs the network, and “fusar” on this computer; “fusar prior doctor” in a terminal says which source works. CC-BY 4.0: “The AlphaEarth Foundations Satellite Embedding dataset is produced by Google and Google DeepMind.”</source>
        <translation>获取某地某年的 AlphaEarth Foundations 嵌入，保存为 64 波段栅格（int8 编码，10 米），供其他算法的“改用文件中的先验”使用，便于以后离线工作。需要网络以及本机的“fusar”；在终端运行“fusar prior doctor”可查看哪个来源可用。CC-BY 4.0：“The AlphaEarth Foundations Satellite Embedding dataset is produced by Google and Google DeepMind.”</translation>
    </message>
    <message>
        <source>Asks a SAR vision-language model about each polygon of a layer, on each raster it lies on. detect gives detections, locate a grid, count, describe and ask give answers; a layer that the task does not give is not made, unless you name its file.</source>
        <translation>就图层的每个多边形，在其所在的每个栅格上询问 SAR 视觉语言模型。detect 给出检测结果，locate 给出网格，count、describe 和 ask 给出回答；任务不产生的图层不会生成，除非您指定了其文件。</translation>
    </message>
    <message>
        <source>{text} What is finished is in the journal: start the same again to go on from there.</source>
        <translation>{text} 已完成的部分在日志中：重新启动同一任务即可从那里继续。</translation>
    </message>
    <message>
        <source>detect: a box around each object. locate: the cells of a 3 by 3 grid with objects. count: how many. describe: the area in words. ask: your own question.</source>
        <translation>detect：为每个对象画框。locate：3×3 网格中有对象的格。count：数量。describe：用文字描述区域。ask：您自己的问题。</translation>
    </message>
    <message>
        <source>Finished pairs are kept in it, and the same batch goes on from there after a stop or a crash. Empty: a file of the QGIS profile, removed when the batch is complete.</source>
        <translation>已完成的对保存在其中，停止或崩溃后同一批次从那里继续。为空：使用 QGIS 配置文件夹中的文件，批次完成后删除。</translation>
    </message>
    <message>
        <source>The model runs in the FUSAR-GPT backend: the one of the options, or a child process that starts now and ends with QGIS. A raster that cannot be opened is listed in the log and costs no other. After a stop or a crash, start the same again: finished pairs come from the journal. The layers are in the CRS of the first raster. The bundled model is a demonstration: do not rely on its answers.</source>
        <translation>模型在 FUSAR-GPT 后端中运行：选项中的后端，或现在启动、随 QGIS 结束的子进程。无法打开的栅格列在日志中，不影响其他栅格。停止或崩溃后，重新启动同一任务即可：已完成的对取自日志。各图层采用第一个栅格的坐标系。内置模型仅供演示：请勿依赖其回答。</translation>
    </message>
    <message>
        <source>Cuts a raster into chips, in the grey that the model sees, with the boxes of a layer of known objects: a folder of records (docs/training-data.md). All chips of a raster are one scene, so that none leaks into another split. Then, in a terminal: “fusar-train data derive FOLDER --out CHIPS” makes the questions and answers.</source>
        <translation>把栅格按模型所见的灰度切成切片，并附上已知对象图层的框：得到一个记录文件夹（docs/training-data.md）。同一栅格的所有切片属于同一影像，不会泄漏到其他划分。然后在终端运行：“fusar-train data derive FOLDER --out CHIPS”，生成问题和回答。</translation>
    </message>
    <message>
        <source>{done} done, {resumed} of them from the journal; {failed} failed; {skipped} rasters left out; {unclear} answers not understood.</source>
        <translation>完成 {done} 个，其中 {resumed} 个来自日志；失败 {failed} 个；未包括的栅格 {skipped} 个；无法理解的回答 {unclear} 个。</translation>
    </message>
    <message>
        <source>nothing found</source>
        <translation>未发现对象</translation>
    </message>
    <message>
        <source>“{path}” cannot be opened as a raster. Check the file.</source>
        <translation>无法将“{path}”作为栅格打开。请检查该文件。</translation>
    </message>
    <message>
        <source>“{path}” has no band {band}. Choose one that it has.</source>
        <translation>“{path}”没有波段 {band}。请选择它已有的波段。</translation>
    </message>
    <message>
        <source>The band holds no data. Choose another band.</source>
        <translation>该波段没有数据。请选择其他波段。</translation>
    </message>
    <message>
        <source>The raster is damaged or truncated. Download or copy it again.</source>
        <translation>栅格已损坏或不完整。请重新下载或复制。</translation>
    </message>
    <message>
        <source>The backend was lost; the batch goes on when it is back.</source>
        <translation>与后端失去联系；后端恢复后批处理会继续。</translation>
    </message>
    <message>
        <source>auto: the first source that covers the extent. cog: public files. earth-engine: your own account.</source>
        <translation>auto：覆盖该范围的第一个来源。cog：公开文件。earth-engine：您自己的账户。</translation>
    </message>
    <message>
        <source>The prior could not be fetched, and “fusar” gave no reason. Run “fusar prior doctor” in a terminal.</source>
        <translation>无法获取先验，“fusar”没有给出原因。请在终端运行“fusar prior doctor”。</translation>
    </message>
    <message>
        <source>{items} jobs on {rasters} rasters</source>
        <translation>{rasters} 个栅格上的 {items} 个任务</translation>
    </message>
    <message>
        <source>it cannot be opened: the file is missing, damaged or not a raster. Check the file.</source>
        <translation>无法打开：文件缺失、已损坏或不是栅格。请检查该文件。</translation>
    </message>
    <message>
        <source>The raster is not a file on this computer. Save it as a GeoTIFF first.</source>
        <translation>该栅格不是本机上的文件。请先将其另存为 GeoTIFF。</translation>
    </message>
    <message>
        <source>“{path}” cannot be used: {reason}.</source>
        <translation>无法使用“{path}”：{reason}。</translation>
    </message>
    <message>
        <source>What the numbers of the band are</source>
        <translation>波段数值的含义</translation>
    </message>
    <message>
        <source>What the stored numbers are multiplied by</source>
        <translation>存储数值的乘数</translation>
    </message>
    <message>
        <source>Empty: judged by names, units, range and texture.</source>
        <translation>留空：根据名称、单位、范围和纹理判断。</translation>
    </message>
    <message>
        <source>Such as 0.01 for decibels times 100. Empty: as the file states.</source>
        <translation>例如分贝乘以 100 时填 0.01。留空：按文件说明。</translation>
    </message>
    <message>
        <source>Names the class of what is in each polygon, such as a detection or a box drawn by hand. Every feature comes out with all its attributes, its class and the confidence (empty where the model has no calibration); “problem” says why a box has none. A box is classified on the first raster it lies on.</source>
        <translation>给出每个多边形内对象的类别，例如检测结果或手绘的框。每个要素连同其全部属性、类别和置信度（模型未经校准时为空）一起输出；“problem”说明某个框为何没有类别。框在其所在的第一个栅格上分类。</translation>
    </message>
    <message>
        <source>Such as confidence, or objectness where the model has no calibration.</source>
        <translation>例如 confidence；模型未经校准时用 objectness。</translation>
    </message>
    <message>
        <source>Draws a box around each object of the targets, with its class, its length and width in metres, and its confidence: the probability that it is right, empty where the model has no calibration. “objectness” ranks the boxes and is not a probability of being right. What the model said and nobody understood is in “Answers”, so that silence is never mistaken for an empty sea.</source>
        <translation>为每个目标对象画框，给出类别、以米为单位的长和宽，以及置信度：即正确的概率，模型未经校准时为空。“objectness”用于给框排序，不是正确的概率。模型说了但无法理解的内容放在“回答”中，避免把沉默误认为空旷的海面。</translation>
    </message>
    <message>
        <source>Counts the targets in an area. In one chip the number is the model's own count. Over several chips it is that of the detections in the area, or the sum of the chips where the model cannot detect the target: “method” says which, “agreement” how many chips agree, and that row has no chip number.</source>
        <translation>对区域内的目标计数。单个切片时为模型自己的计数。多个切片时为区域内检测结果的数量；模型无法检测该目标时为各切片之和：“method”说明是哪一种，“agreement”说明有多少切片一致，该行没有切片编号。</translation>
    </message>
    <message>
        <source>Asks the same question, in your own words, about each chip of an area. A model that was not taught to answer freely answers a question that is one of its tasks, as “understood” says, and refuses any other.</source>
        <translation>用您自己的话，就区域内每个切片提出同一个问题。未学过自由回答的模型只回答属于其任务的问题（见“understood”），拒绝其他问题。</translation>
    </message>
    <message>
        <source>No prior is fetched from the network: only what is at hand is used. “Fetch the prior from the network” of this algorithm, or of the plugin's options, changes that.</source>
        <translation>不从网络获取先验：只使用手头已有的。可通过本算法的“从网络获取先验”或插件的选项更改。</translation>
    </message>
    <message>
        <source>Fetch the prior from the network</source>
        <translation>从网络获取先验</translation>
    </message>
    <message>
        <source>AlphaEarth tiles of each place are then fetched by the backend; only the tile numbers leave it. As you have answered in the options; without an answer nothing is fetched.</source>
        <translation>后端将获取每个地点的 AlphaEarth 瓦片；只有瓦片编号会离开后端。默认为您在选项中的回答；没有回答则不获取。</translation>
    </message>
    <message>
        <source>{n} without a prior, although one was asked for: see the column prior of each finding.</source>
        <translation>{n} 个没有先验，尽管要求了先验：见每个结果的 prior 列。</translation>
    </message>
    <message>
        <source>Matches detections with known objects of the same class, one to one, from the largest overlap (intersection over union) down, and gives precision, recall and F1, as “fusar-train evaluate” does. The marked layer shows what was found, falsely reported and missed. Both layers must cover the same ground: what nobody labelled counts as a false report. Only the classes that were asked for are scored; others are counted in the table and marked as not scored.</source>
        <translation>将检测结果与同类的已知目标一一匹配，按重叠度（交并比）从大到小进行，并像“fusar-train evaluate”那样给出精确率、召回率和 F1。标记图层显示找到的、误报的和漏检的目标。两个图层必须覆盖同一范围：没有人标注的目标会算作误报。只对所询问的类别评分；其他类别在表中计数，并标记为未评分。</translation>
    </message>
    <message>
        <source>“{target}” is a class of neither layer.</source>
        <translation>两个图层中都没有类别“{target}”。</translation>
    </message>
    <message>
        <source>Classes that were asked for, separated by commas</source>
        <translation>所询问的类别，以逗号分隔</translation>
    </message>
    <message>
        <source>Such as: ship. Only these are scored. Empty: the targets of the run, where the layer of detections knows them, else all classes.</source>
        <translation>例如：ship。只对这些类别评分。留空：若检测图层带有运行信息，则为该次运行的目标类别，否则为所有类别。</translation>
    </message>
    <message>
        <source>{label}: not asked for, not scored ({detected} detected, {true} true)</source>
        <translation>{label}：未被询问，未评分（检测到 {detected} 个，真值 {true} 个）</translation>
    </message>
    <message>
        <source>not scored</source>
        <translation>未评分</translation>
    </message>
    <message>
        <source>Start interpreting areas</source>
        <translation>开始解译区域</translation>
    </message>
    <message>
        <source>Starts what “Interpret areas” does, one job for each polygon on each raster, and comes back at once with the ids of the jobs. “State of jobs” then says how far they are, “Results of jobs” fetches what they found. The jobs run in the backend: one that QGIS has started lives as long as QGIS or the script does, a server as long as it likes.</source>
        <translation>启动与“解译区域”相同的工作，每个栅格上的每个多边形对应一个任务，并立即返回任务的编号。之后用“任务状态”查询进度，用“任务结果”取回发现。任务在后端运行：由 QGIS 启动的后端与 QGIS 或脚本同时结束，服务器则可一直运行。</translation>
    </message>
    <message>
        <source>Ids of the jobs</source>
        <translation>任务编号</translation>
    </message>
    <message>
        <source>Number of jobs</source>
        <translation>任务数量</translation>
    </message>
    <message>
        <source>The backend that qgis_process starts ends with it, and the jobs with that. Start “fusar serve” and set FUSAR_URL and FUSAR_TOKEN, or run fusar:interpret, which waits for its findings.</source>
        <translation>由 qgis_process 启动的后端会随之结束，任务也随之结束。请启动“fusar serve”并设置 FUSAR_URL 和 FUSAR_TOKEN，或运行会等待结果的 fusar:interpret。</translation>
    </message>
    <message>
        <source>Nothing was started: {reason}</source>
        <translation>没有启动任何任务：{reason}</translation>
    </message>
    <message>
        <source>As “Start interpreting areas” gave them, separated by commas.</source>
        <translation>“开始解译区域”给出的编号，以逗号分隔。</translation>
    </message>
    <message>
        <source>No backend of this QGIS is running, so there are no jobs: a backend that QGIS starts ends with it. Start the interpretation again, or use a server.</source>
        <translation>此 QGIS 没有正在运行的后端，因此没有任务：由 QGIS 启动的后端会随 QGIS 结束。请重新开始解译，或使用服务器。</translation>
    </message>
    <message>
        <source>Name at least one job.</source>
        <translation>请至少指定一个任务。</translation>
    </message>
    <message>
        <source>State of jobs</source>
        <translation>任务状态</translation>
    </message>
    <message>
        <source>Says at once how far the jobs of “Start interpreting areas” are: accepted, running, successful, failed or dismissed, the progress in percent, and whether all have ended. It never starts a backend.</source>
        <translation>立即给出“开始解译区域”所启动任务的进度：accepted、running、successful、failed 或 dismissed，以百分比表示的进度，以及是否全部结束。它从不启动后端。</translation>
    </message>
    <message>
        <source>State of all</source>
        <translation>总体状态</translation>
    </message>
    <message>
        <source>All have ended</source>
        <translation>全部已结束</translation>
    </message>
    <message>
        <source>Progress in percent</source>
        <translation>进度（百分比）</translation>
    </message>
    <message>
        <source>What each says</source>
        <translation>各任务的说明</translation>
    </message>
    <message>
        <source>Results of jobs</source>
        <translation>任务结果</translation>
    </message>
    <message>
        <source>Fetches what jobs of “Start interpreting areas” have found, once all of them have ended; the backend keeps it. The layers are those of “Interpret areas”; their column area is empty, and the column run tells the jobs apart. They are in the CRS of the first job's scene. A layer that no job gives is not made, unless you name its file. It never starts a backend.</source>
        <translation>在“开始解译区域”的任务全部结束后取回其发现；后端会保留这些结果。图层与“解译区域”的相同；area 列为空，由 run 列区分任务。图层采用第一个任务的场景的坐标参考系。没有任务给出的图层不会生成，除非您指定了文件。它从不启动后端。</translation>
    </message>
    <message>
        <source>Jobs with results</source>
        <translation>有结果的任务</translation>
    </message>
    <message>
        <source>Jobs that failed</source>
        <translation>失败的任务</translation>
    </message>
    <message>
        <source>Not all jobs have ended: {jobs}. Ask fusar:jobstatus again later.</source>
        <translation>并非所有任务都已结束：{jobs}。请稍后再用 fusar:jobstatus 查询。</translation>
    </message>
    <message>
        <source>State of the backend</source>
        <translation>后端状态</translation>
    </message>
    <message>
        <source>Says whether a backend is installed and running, which model it has, what is missing and what to do next. It answers at once, within three seconds where a server does not, and never starts a backend.</source>
        <translation>说明后端是否已安装并正在运行、使用哪个模型、缺少什么以及下一步怎么做。它会立即应答，若服务器无应答则在三秒内返回，并且从不启动后端。</translation>
    </message>
    <message>
        <source>Installed, or a server is named</source>
        <translation>已安装，或已指定服务器</translation>
    </message>
    <message>
        <source>Running</source>
        <translation>正在运行</translation>
    </message>
    <message>
        <source>Its model is loaded</source>
        <translation>模型已加载</translation>
    </message>
    <message>
        <source>Its model is a demonstration</source>
        <translation>模型仅供演示</translation>
    </message>
    <message>
        <source>Address or program</source>
        <translation>地址或程序</translation>
    </message>
    <message>
        <source>Version</source>
        <translation>版本</translation>
    </message>
    <message>
        <source>Device</source>
        <translation>设备</translation>
    </message>
    <message>
        <source>What is missing</source>
        <translation>缺少什么</translation>
    </message>
    <message>
        <source>What to do next</source>
        <translation>下一步</translation>
    </message>
    <message>
        <source>A polygon around each object, drawn by hand or detected, in any CRS.</source>
        <translation>每个目标外的一个多边形，手绘或检测所得，坐标系任意。</translation>
    </message>
    <message>
        <source>Every box with its own attributes, in its own CRS, then the class and how it came about.</source>
        <translation>每个框保留自己的属性和坐标系，之后是类别及其由来。</translation>
    </message>
    <message>
        <source>Boxes that the model found, such as “Detections” of the other algorithms.</source>
        <translation>模型找到的框，例如其他算法的“检测结果”。</translation>
    </message>
    <message>
        <source>A polygon around each object that is really there, in any CRS.</source>
        <translation>每个真实目标外的一个多边形，坐标系任意。</translation>
    </message>
    <message>
        <source>Empty here or for the detections: classes do not count.</source>
        <translation>此处或检测结果一侧为空：不区分类别。</translation>
    </message>
    <message>
        <source>A detection and a true object that overlap less are no pair.</source>
        <translation>检测结果与真实目标重叠更少的不算配对。</translation>
    </message>
    <message>
        <source>Both layers&apos; boxes in one, each with its state, its overlap and its partner.</source>
        <translation>两个图层的框合为一层，各有状态、重叠度和配对。</translation>
    </message>
    <message>
        <source>Precision, recall, F1 and counts, a row for each class and one for all.</source>
        <translation>精确率、召回率、F1 和计数，每类一行，另有总计一行。</translation>
    </message>
    <message>
        <source>The ground that the prior covers: that of the scenes it is for, in any CRS.</source>
        <translation>先验覆盖的地面：所服务场景的范围，坐标系任意。</translation>
    </message>
    <message>
        <source>The year that the embeddings describe, best that of the scene.</source>
        <translation>嵌入向量所描述的年份，最好与场景同年。</translation>
    </message>
    <message>
        <source>A GeoTIFF of 64 bands (int8). Beside a scene, named as it with _prior, it is found by itself.</source>
        <translation>64 个波段（int8）的 GeoTIFF。放在场景旁、以场景名加 _prior 命名，会被自动找到。</translation>
    </message>
    <message>
        <source>Cancel jobs</source>
        <translation>取消任务</translation>
    </message>
    <message>
        <source>Cancels jobs of “Start interpreting areas” that have not ended. One that has ended is left as it is, with its results. It comes back at once and never starts a backend.</source>
        <translation>取消由“开始解译区域”启动而尚未结束的任务。已结束的保持原样，结果仍在。立即返回，从不启动后端。</translation>
    </message>
    <message>
        <source>Jobs that were cancelled</source>
        <translation>已取消的任务</translation>
    </message>
    <message>
        <source>Files or layers, each with a georeference. One that cannot be opened is listed, and costs no other.</source>
        <translation>文件或图层，每个都要有地理参考。打不开的会列出，不影响其余。</translation>
    </message>
    <message>
        <source>In your own words, for the task ask; the other tasks do not read it.</source>
        <translation>用您自己的话写，供“提问”任务使用；其他任务不读取。</translation>
    </message>
    <message>
        <source>A box for each object: class, size in metres, objectness, confidence, scene and area.</source>
        <translation>每个目标一个框：类别、以米为单位的尺寸、objectness、置信度、场景和区域。</translation>
    </message>
    <message>
        <source>Nine cells for each chip; “hit” says which of them have a target.</source>
        <translation>每个切片九个格子；“hit”说明哪些格子里有目标。</translation>
    </message>
    <message>
        <source>Answers in words and numbers, and what the model said that nobody understood.</source>
        <translation>文字和数字的回答，以及模型所说而无法理解的内容。</translation>
    </message>
    <message>
        <source>A table with a row for each pair of raster and area: done or why not, model, prior, version.</source>
        <translation>一个表，每对栅格和区域一行：完成与否及原因、模型、先验、版本。</translation>
    </message>
    <message>
        <source>auto: what is at hand, such as a file beside the scene, else AlphaEarth, else none. none: from the image alone. cog: public files. earth-engine: your own account. A script or model may give the path of a file, or a raster layer, instead.</source>
        <translation>auto：先用手头已有的（如场景旁的文件），否则用 AlphaEarth，再否则不用。none：只用影像。cog：公开文件。earth-engine：您自己的账户。脚本或模型也可以改为给出文件路径或栅格图层。</translation>
    </message>
    <message>
        <source>As “Prior” takes it too: for the toolbox, and for a raster that a model's earlier step has made.</source>
        <translation>与“先验”可接受的文件相同：供工具箱使用，也用于模型前一步骤生成的栅格。</translation>
    </message>
    <message>
        <source>Else a pair without the prior that was named fails. “auto” always goes on.</source>
        <translation>否则，缺少所指定先验的一对将失败。“auto”总会继续。</translation>
    </message>
    <message>
        <source>A file on this computer; its numbers become the grey that the model sees.</source>
        <translation>本机上的文件；其数值转为模型所见的灰度。</translation>
    </message>
    <message>
        <source>A polygon around each known object, in any CRS; its bounds in pixels become the box.</source>
        <translation>每个已知目标外的一个多边形，坐标系任意；其像素范围成为框。</translation>
    </message>
    <message>
        <source>The class of each polygon, such as ship; an empty one is an error.</source>
        <translation>每个多边形的类别，如 ship；为空即报错。</translation>
    </message>
    <message>
        <source>Such as the type of a ship, where that is known.</source>
        <translation>例如已知的船型。</translation>
    </message>
    <message>
        <source>About: the raster is cut into the fewest equal chips of this size.</source>
        <translation>约数：栅格被切成数量最少、大小相等的切片。</translation>
    </message>
    <message>
        <source>They teach that there may be nothing.</source>
        <translation>它们教会模型：也可能什么都没有。</translation>
    </message>
    <message>
        <source>It begins the id of every record.</source>
        <translation>每条记录的标识以它开头。</translation>
    </message>
    <message>
        <source>Such as Sentinel-1; kept in every record.</source>
        <translation>例如 Sentinel-1；保存在每条记录中。</translation>
    </message>
    <message>
        <source>What may be done with the data; kept in every record.</source>
        <translation>数据可作何用途；保存在每条记录中。</translation>
    </message>
    <message>
        <source>A new folder: records.jsonl and the images. An old one is never overwritten.</source>
        <translation>新文件夹：records.jsonl 和图像。已有的绝不覆盖。</translation>
    </message>
    <message>
        <source>One interpretation for each polygon, such as each place that a search has found. Without it, the whole raster.</source>
        <translation>每个多边形一次解译，例如搜索找到的每个地点。不给出则为整个栅格。</translation>
    </message>
    <message>
        <source>Places</source>
        <translation>地点</translation>
    </message>
    <message>
        <source>What a search found, the best first: rank, percentile, similarity.</source>
        <translation>搜索找到的地点，最相似的在前：名次、百分位、相似度。</translation>
    </message>
    <message>
        <source>Search by words or by example</source>
        <translation>用文字或示例搜索</translation>
    </message>
    <message>
        <source>Finds the places of a SAR raster that are most like a text, or like other places: the best first, with the share of the scene that is less like it. The similarity ranks and says nothing by itself: the best place may still show nothing of what you look for. The first search of a raster indexes it, which takes a while; the index is kept, also that of a search that was stopped. Give the places to “Interpret areas”, “Count objects” or another algorithm as its areas, and the model looks at these only. The bundled encoder is a demonstration and knows few words; what it does not know is said.</source>
        <translation>在 SAR 栅格中查找与一段文字或与其他地点最相似的地点：最相似的在前，并给出场景中不如它相似的比例。相似度只用于排序，本身不说明任何问题：排在最前的地点也可能没有您要找的东西。首次搜索某个栅格时要建立索引，需要一些时间；索引会保留，中途停止的搜索也是如此。把这些地点作为区域交给“解译区域”、“对象计数”或其他算法，模型就只看这些地点。随附的编码器仅供演示，认识的词很少；它不认识的词会说明。</translation>
    </message>
    <message>
        <source>Number of places</source>
        <translation>地点数</translation>
    </message>
    <message>
        <source>Write what to find, or give a layer with places that are like it.</source>
        <translation>请写出要查找的内容，或给出一个含有相似地点的图层。</translation>
    </message>
    <message>
        <source>At most %n text(s), one in a line.</source>
        <translation>最多 %n 段文字，每行一段。</translation>
    </message>
    <message>
        <source>Name a file for the heat map that ends in .tif.</source>
        <translation>请为热力图指定以 .tif 结尾的文件。</translation>
    </message>
    <message>
        <source>At most %n example(s): select some of the layer&apos;s features.</source>
        <translation>最多 %n 个示例：请选择图层中的部分要素。</translation>
    </message>
    <message>
        <source>The layer of examples is empty.</source>
        <translation>示例图层为空。</translation>
    </message>
    <message>
        <source>The layer of the area is empty.</source>
        <translation>区域图层为空。</translation>
    </message>
    <message>
        <source>The layer of the examples or of the area has no CRS. Set it in the layer&apos;s properties.</source>
        <translation>示例或区域的图层没有坐标参考系。请在图层属性中设置。</translation>
    </message>
    <message>
        <source>An example or the area lies where the CRS of the raster does not reach.</source>
        <translation>某个示例或区域位于栅格的坐标参考系所不及之处。</translation>
    </message>
    <message>
        <source>Cancelled. What is indexed by now is kept for the next search.</source>
        <translation>已取消。至此建立的索引会保留，供下次搜索使用。</translation>
    </message>
    <message>
        <source>The heat map cannot be written: {reason}. Choose another place.</source>
        <translation>无法写入热力图：{reason}。请选择其他位置。</translation>
    </message>
    <message>
        <source>{done} of {total} parts of the raster are indexed</source>
        <translation>栅格的 {total} 个部分中已索引 {done} 个</translation>
    </message>
    <message>
        <source>What to find</source>
        <translation>要查找的内容</translation>
    </message>
    <message>
        <source>A file or layer with a georeference.</source>
        <translation>带有地理参考的文件或图层。</translation>
    </message>
    <message>
        <source>In your own words, such as: ships at a dock. Several lines are averaged.</source>
        <translation>用您自己的话，例如：码头边的船。多行取平均。</translation>
    </message>
    <message>
        <source>Places like it</source>
        <translation>相似的地点</translation>
    </message>
    <message>
        <source>Points or polygons on the raster that show what to find, with the text or without one.</source>
        <translation>栅格上表示要查找内容的点或多边形，可与文字同用，也可单独使用。</translation>
    </message>
    <message>
        <source>Places unlike it</source>
        <translation>不相似的地点</translation>
    </message>
    <message>
        <source>Points or polygons on the raster that show what is not meant.</source>
        <translation>栅格上表示不要查找的内容的点或多边形。</translation>
    </message>
    <message>
        <source>Area</source>
        <translation>区域</translation>
    </message>
    <message>
        <source>Where to look. Without it, the whole raster.</source>
        <translation>在哪里查找。不给出则为整个栅格。</translation>
    </message>
    <message>
        <source>Most places</source>
        <translation>最多地点数</translation>
    </message>
    <message>
        <source>Encoder</source>
        <translation>编码器</translation>
    </message>
    <message>
        <source>Ground side of a place in metres</source>
        <translation>地点的地面边长（米）</translation>
    </message>
    <message>
        <source>Fewer come where better places cover the others.</source>
        <translation>若更好的地点覆盖了其他地点，结果会更少。</translation>
    </message>
    <message>
        <source>What compares images and texts: a name that the backend offers, or open_clip: and a folder. Empty: {name}.</source>
        <translation>用来比较图像与文字的编码器：后端提供的名称，或 open_clip: 加文件夹。留空：{name}。</translation>
    </message>
    <message>
        <source>Empty: as the encoder was trained.</source>
        <translation>留空：与编码器训练时相同。</translation>
    </message>
    <message>
        <source>Heat map</source>
        <translation>热力图</translation>
    </message>
    <message>
        <source>A square for each place, the best first: rank, percentile (the share of the scene that is less like the query), similarity, side in metres.</source>
        <translation>每个地点一个方框，最相似的在前：名次、百分位（场景中不如它相似的比例）、相似度、边长（米）。</translation>
    </message>
    <message>
        <source>A GeoTIFF of percentiles, 0 to 100: how much of the scene is less like the query than what lies here. 255 is no data.</source>
        <translation>百分位（0 至 100）的 GeoTIFF：场景中有多大比例不如此处与查询相似。255 为无数据。</translation>
    </message>
</context>
<context>
    <name>PythonSearch</name>
    <message>
        <source>Python {version} at {path} cannot make environments: its venv module is not installed. Install it (Debian, Ubuntu: apt-get install python3-venv), then try again.</source>
        <translation>{path} 处的 Python {version} 无法创建环境：未安装其 venv 模块。请安装（Debian、Ubuntu：apt-get install python3-venv），然后重试。</translation>
    </message>
    <message>
        <source>Python {version} at {path} is not complete. Install Python again from python.org, then try again.</source>
        <translation>{path} 处的 Python {version} 不完整。请从 python.org 重新安装 Python，然后重试。</translation>
    </message>
    <message>
        <source>No Python {oldest} or newer was found outside QGIS. Install one (Debian, Ubuntu: apt-get install python3 python3-venv) or choose one under “Python”, then try again.</source>
        <translation>在 QGIS 之外未找到 Python {oldest} 或更高版本。请安装（Debian、Ubuntu：apt-get install python3 python3-venv），或在“Python 解释器”处选择一个，然后重试。</translation>
    </message>
    <message>
        <source>No Python {oldest} or newer (64 bit) was found outside QGIS. Install one from python.org or choose one under “Python”, then try again.</source>
        <translation>在 QGIS 之外未找到 Python {oldest} 或更高版本（64 位）。请从 python.org 安装，或在“Python 解释器”处选择一个，然后重试。</translation>
    </message>
</context>
<context>
    <name>QuantityChoice</name>
    <message>
        <source>as stored</source>
        <translation>按存储值</translation>
    </message>
    <message>
        <source>What the stored numbers are multiplied by, such as 0.01 for decibels times 100.</source>
        <translation>存储数值的乘数，例如分贝乘以 100 时填 0.01。</translation>
    </message>
    <message>
        <source>As judged: {quantity}</source>
        <translation>自动判断：{quantity}</translation>
    </message>
    <message>
        <source>As judged</source>
        <translation>自动判断</translation>
    </message>
    <message>
        <source>power</source>
        <translation>功率</translation>
    </message>
    <message>
        <source>amplitude</source>
        <translation>幅度</translation>
    </message>
    <message>
        <source>decibels</source>
        <translation>分贝</translation>
    </message>
    <message>
        <source>grey levels</source>
        <translation>灰度级</translation>
    </message>
</context>
<context>
    <name>QuestionEdit</name>
    <message>
        <source>Ask about the area, in your own words</source>
        <translation>用您自己的话就该区域提问</translation>
    </message>
    <message>
        <source>Question</source>
        <translation>问题</translation>
    </message>
    <message>
        <source>Ask what the model was taught</source>
        <translation>请询问模型学过的内容</translation>
    </message>
</context>
<context>
    <name>Ranges</name>
    <message>
        <source>Confidence</source>
        <translation>置信度</translation>
    </message>
    <message>
        <source>Length</source>
        <translation>长度</translation>
    </message>
    <message>
        <source>Area</source>
        <translation>区域</translation>
    </message>
    <message>
        <source>The number whose range is chosen; ranges of several count together</source>
        <translation>要选择范围的数值；多个数值的范围同时生效</translation>
    </message>
    <message>
        <source>At least; findings without such a number stay</source>
        <translation>下限；没有该数值的结果会保留</translation>
    </message>
    <message>
        <source>At most; findings without such a number stay</source>
        <translation>上限；没有该数值的结果会保留</translation>
    </message>
</context>
<context>
    <name>Repetition</name>
    <message>
        <source>Run again</source>
        <translation>再次运行</translation>
    </message>
    <message>
        <source>The question of “{name}” is asked once more. What becomes of its findings?</source>
        <translation>将再次提出“{name}”的问题。如何处理它的结果？</translation>
    </message>
    <message>
        <source>Replace: they leave the project when the new run has ended well, and not before.</source>
        <translation>替换：新运行成功结束后它们才离开工程，此前不会。</translation>
    </message>
    <message>
        <source>%n decision(s) of your review will leave with them.</source>
        <translation>您的 %n 条审核决定会随之离开。</translation>
    </message>
    <message>
        <source>Replace</source>
        <translation>替换</translation>
    </message>
    <message>
        <source>Keep both and compare</source>
        <translation>两者都保留并比较</translation>
    </message>
    <message>
        <source>Keep both</source>
        <translation>两者都保留</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
    <message>
        <source>The findings of “{name}” stay, for the new run has not ended well.</source>
        <translation>“{name}”的结果保留，因为新运行未成功结束。</translation>
    </message>
    <message>
        <source>The new run has replaced “{name}”.</source>
        <translation>新运行已替换“{name}”。</translation>
    </message>
    <message>
        <source>Its GeoPackage still has its findings.</source>
        <translation>其 GeoPackage 中仍有它的结果。</translation>
    </message>
</context>
<context>
    <name>Report</name>
    <message>
        <source>Only the best {n} have a card; {rest} more are in the layer and its exports.</source>
        <translation>仅最好的 {n} 个有卡片；另有 {rest} 个在图层及其导出文件中。</translation>
    </message>
    <message>
        <source>There are no pictures, for the scene cannot be read: {reason}</source>
        <translation>没有图片，因为无法读取影像：{reason}</translation>
    </message>
    <message>
        <source>What a reader must know</source>
        <translation>读者须知</translation>
    </message>
    <message>
        <source>Findings</source>
        <translation>结果数</translation>
    </message>
    <message>
        <source>Accepted</source>
        <translation>已接受</translation>
    </message>
    <message>
        <source>Rejected, not shown</source>
        <translation>已拒绝（未显示）</translation>
    </message>
    <message>
        <source>Not reviewed</source>
        <translation>未审核</translation>
    </message>
    <message>
        <source>Reviewed by</source>
        <translation>审核人</translation>
    </message>
    <message>
        <source>nobody yet</source>
        <translation>尚无人</translation>
    </message>
    <message>
        <source>Scene</source>
        <translation>场景</translation>
    </message>
    <message>
        <source>Band</source>
        <translation>波段</translation>
    </message>
    <message>
        <source>Started</source>
        <translation>开始时间</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>模型</translation>
    </message>
    <message>
        <source>Hash of the model</source>
        <translation>模型哈希</translation>
    </message>
    <message>
        <source>Prior</source>
        <translation>先验</translation>
    </message>
    <message>
        <source>Confidence</source>
        <translation>置信度</translation>
    </message>
    <message>
        <source>Run</source>
        <translation>运行</translation>
    </message>
    <message>
        <source>Confidence {n}</source>
        <translation>置信度 {n}</translation>
    </message>
    <message>
        <source>Objectness {n} (ranks only)</source>
        <translation>目标性 {n}（仅用于排序）</translation>
    </message>
    <message>
        <source>Length {n} m</source>
        <translation>长 {n} 米</translation>
    </message>
    <message>
        <source>Width {n} m</source>
        <translation>宽 {n} 米</translation>
    </message>
    <message>
        <source>Cell {n}</source>
        <translation>格 {n}</translation>
    </message>
    <message>
        <source>Count {n}</source>
        <translation>数量 {n}</translation>
    </message>
    <message>
        <source>accepted</source>
        <translation>已接受</translation>
    </message>
    <message>
        <source>relabelled</source>
        <translation>已改标</translation>
    </message>
    <message>
        <source>added</source>
        <translation>已添加</translation>
    </message>
    <message>
        <source>not reviewed</source>
        <translation>未审核</translation>
    </message>
    <message>
        <source>The run was cancelled: what it had not reached is not in here.</source>
        <translation>运行已被取消：尚未处理的部分不在本报告中。</translation>
    </message>
    <message>
        <source>The run failed before its end: what it had not reached is not in here.</source>
        <translation>运行在结束前失败：尚未处理的部分不在本报告中。</translation>
    </message>
    <message>
        <source>none</source>
        <translation>无</translation>
    </message>
    <message>
        <source>The run&apos;s own count</source>
        <translation>运行自身的计数</translation>
    </message>
    <message>
        <source>Area</source>
        <translation>区域</translation>
    </message>
    <message>
        <source>box changed</source>
        <translation>边框已修改</translation>
    </message>
    <message>
        <source>Searched for</source>
        <translation>搜索内容</translation>
    </message>
    <message>
        <source>Similarity</source>
        <translation>相似度</translation>
    </message>
    <message>
        <source>place</source>
        <translation>位置</translation>
    </message>
    <message>
        <source>Rank {n}</source>
        <translation>名次 {n}</translation>
    </message>
    <message>
        <source>More like the query than {n} % of the scene</source>
        <translation>比场景的 {n} % 更符合查询</translation>
    </message>
    <message>
        <source>Similarity {n} (ranks only)</source>
        <translation>相似度 {n}（仅用于排序）</translation>
    </message>
    <message>
        <source>Side {n} m</source>
        <translation>边长 {n} 米</translation>
    </message>
</context>
<context>
    <name>ReportWriting</name>
    <message>
        <source>PDF report</source>
        <translation>PDF 报告</translation>
    </message>
    <message>
        <source>Report written to {path}: %n page(s).</source>
        <translation>报告已写入 {path}：共 %n 页。</translation>
    </message>
</context>
<context>
    <name>RequestDialog</name>
    <message>
        <source>Interpret SAR</source>
        <translation>解译 SAR</translation>
    </message>
    <message>
        <source>Wait…</source>
        <translation>请稍候……</translation>
    </message>
    <message>
        <source>Planning…</source>
        <translation>正在规划……</translation>
    </message>
    <message>
        <source>How long that takes is known after the first run.</source>
        <translation>首次运行之后才知道需要多久。</translation>
    </message>
    <message>
        <source>Chips to look at: {n}.</source>
        <translation>要查看的切片：{n} 个。</translation>
    </message>
    <message>
        <source>Choose at least one</source>
        <translation>请至少选择一项</translation>
    </message>
    <message>
        <source>ship, aircraft</source>
        <translation>船舶、飞机</translation>
    </message>
    <message>
        <source>What is built here?</source>
        <translation>这里建有什么？</translation>
    </message>
    <message>
        <source>Connecting to the backend…</source>
        <translation>正在连接后端…</translation>
    </message>
    <message>
        <source>Start</source>
        <translation>开始</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
    <message>
        <source>Scene</source>
        <translation>影像</translation>
    </message>
    <message>
        <source>&amp;Band</source>
        <translation>波段(&amp;B)</translation>
    </message>
    <message>
        <source>&amp;Task</source>
        <translation>任务(&amp;T)</translation>
    </message>
    <message>
        <source>T&amp;argets</source>
        <translation>目标(&amp;A)</translation>
    </message>
    <message>
        <source>Po&amp;lygons</source>
        <translation>多边形(&amp;L)</translation>
    </message>
    <message>
        <source>&amp;Question</source>
        <translation>问题(&amp;Q)</translation>
    </message>
    <message>
        <source>&amp;Model</source>
        <translation>模型(&amp;M)</translation>
    </message>
    <message>
        <source>{size:,.2f} km²</source>
        <translation>{size:,.2f} 平方千米</translation>
    </message>
    <message>
        <source>{size:,.0f} m²</source>
        <translation>{size:,.0f} 平方米</translation>
    </message>
    <message>
        <source>About {n} s.</source>
        <translation>约 {n} 秒。</translation>
    </message>
    <message>
        <source>About {n} min.</source>
        <translation>约 {n} 分钟。</translation>
    </message>
    <message>
        <source>About {n} h.</source>
        <translation>约 {n} 小时。</translation>
    </message>
    <message>
        <source>&lt;b&gt;Demonstration model.&lt;/b&gt; It shows how the work is done; do not rely on its answers.</source>
        <translation>&lt;b&gt;演示模型。&lt;/b&gt;仅用于展示工作流程，请勿依赖其结果。</translation>
    </message>
    <message>
        <source>&amp;Numbers</source>
        <translation>数值(&amp;N)</translation>
    </message>
    <message>
        <source>No picture without a backend.</source>
        <translation>没有后端就没有图像。</translation>
    </message>
    <message>
        <source>The backend has no model. Choose or install one in the FUSAR-GPT options.</source>
        <translation>后端没有模型。请在 FUSAR-GPT 选项中选择或安装一个。</translation>
    </message>
    <message>
        <source>Choose at least one target, which is what to look for.</source>
        <translation>请至少选择一个目标，即要寻找的对象。</translation>
    </message>
    <message>
        <source>Type a question about the area.</source>
        <translation>请输入关于该区域的问题。</translation>
    </message>
    <message>
        <source>What the numbers are multiplied by must be a number above 0, such as 0.01.</source>
        <translation>数值的乘数必须是大于 0 的数，例如 0.01。</translation>
    </message>
    <message>
        <source>Complete the question.</source>
        <translation>请补全问题。</translation>
    </message>
    <message>
        <source>Start {chips} chips</source>
        <translation>开始 {chips} 个切片</translation>
    </message>
</context>
<context>
    <name>ResultsRelocator</name>
    <message>
        <source>Findings under edit stay in a temporary file. Save the edits, then the project again.</source>
        <translation>正在编辑的结果留在临时文件中。请先保存编辑，再次保存工程。</translation>
    </message>
    <message>
        <source>Cannot write findings beside the project: {reason}. They stay in a temporary file: export them, or save the project in another folder.</source>
        <translation>无法在工程旁写入结果：{reason}。结果留在临时文件中：请导出，或把工程保存到其他文件夹。</translation>
    </message>
    <message>
        <source>The findings are kept in {file}, beside the project.</source>
        <translation>结果保存在工程旁的 {file} 中。</translation>
    </message>
</context>
<context>
    <name>Review</name>
    <message>
        <source>Review findings</source>
        <translation>审核结果</translation>
    </message>
    <message>
        <source>&lt;b&gt;Review findings&lt;/b&gt;&lt;br&gt;Go through them and accept, reject, relabel or add</source>
        <translation>&lt;b&gt;审核结果&lt;/b&gt;&lt;br&gt;逐个查看，并接受、拒绝、改标或添加</translation>
    </message>
    <message>
        <source>There are no findings to review yet. Interpret an area first.</source>
        <translation>尚无可审核的结果。请先解译一个区域。</translation>
    </message>
</context>
<context>
    <name>ReviewBar</name>
    <message>
        <source>Review findings</source>
        <translation>审核结果</translation>
    </message>
    <message>
        <source>Previous</source>
        <translation>上一个</translation>
    </message>
    <message>
        <source>Next</source>
        <translation>下一个</translation>
    </message>
    <message>
        <source>Accept</source>
        <translation>接受</translation>
    </message>
    <message>
        <source>Reject</source>
        <translation>拒绝</translation>
    </message>
    <message>
        <source>Relabel</source>
        <translation>改标</translation>
    </message>
    <message>
        <source>The right label. Enter gives it to the finding, Esc leaves.</source>
        <translation>正确的标签。回车赋给该结果，Esc 离开。</translation>
    </message>
    <message>
        <source>Add</source>
        <translation>添加</translation>
    </message>
    <message>
        <source>Add what the model missed (+)</source>
        <translation>添加模型漏掉的对象 (+)</translation>
    </message>
    <message>
        <source>Undo</source>
        <translation>撤销</translation>
    </message>
    <message>
        <source>Look closer</source>
        <translation>细看</translation>
    </message>
    <message>
        <source>E&amp;xport</source>
        <translation>导出(&amp;X)</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>关闭</translation>
    </message>
    <message>
        <source>No findings</source>
        <translation>没有结果</translation>
    </message>
    <message>
        <source>{done} of {all} reviewed</source>
        <translation>已审核 {done}/{all}</translation>
    </message>
    <message>
        <source>accepted</source>
        <translation>已接受</translation>
    </message>
    <message>
        <source>rejected</source>
        <translation>已拒绝</translation>
    </message>
    <message>
        <source>relabelled</source>
        <translation>已改标</translation>
    </message>
    <message>
        <source>added</source>
        <translation>已添加</translation>
    </message>
    <message>
        <source>Drag a rectangle around what the model missed.</source>
        <translation>在模型漏掉的对象周围拖出一个矩形。</translation>
    </message>
    <message>
        <source>Write its label first, then draw it.</source>
        <translation>请先写出它的标签，再绘制。</translation>
    </message>
    <message>
        <source>Reviewed: {findings}</source>
        <translation>正在审核：{findings}</translation>
    </message>
    <message>
        <source>Edit box</source>
        <translation>编辑边框</translation>
    </message>
    <message>
        <source>&lt;b&gt;Edit box (E)&lt;/b&gt;&lt;br&gt;Drag a corner or an edge, the inside to move it, the round handle to turn it (with Shift by 15°). The arrow keys move it by a pixel of the scene, Esc gives up, U takes it back.</source>
        <translation>&lt;b&gt;编辑边框 (E)&lt;/b&gt;&lt;br&gt;拖动角点或边；拖动内部可移动；拖动圆形手柄可旋转（按住 Shift 以 15° 为步长）。方向键按影像的一个像素移动，Esc 放弃，U 撤销。</translation>
    </message>
    <message>
        <source>box changed</source>
        <translation>边框已修改</translation>
    </message>
</context>
<context>
    <name>ReviewSession</name>
    <message>
        <source>All findings are reviewed.</source>
        <translation>所有结果均已审核。</translation>
    </message>
    <message>
        <source>The box of another finding is as it was.</source>
        <translation>另一个结果的边框已恢复原状。</translation>
    </message>
    <message>
        <source>{reason} Boxes cannot be changed without the scene of the run.</source>
        <translation>{reason}没有本次运行的影像，无法修改边框。</translation>
    </message>
</context>
<context>
    <name>RunComparison</name>
    <message>
        <source>Both runs have found nothing, so there is nothing to compare.</source>
        <translation>两次运行都未发现目标，因此没有可比较的内容。</translation>
    </message>
    <message>
        <source>{run} compared with {other}</source>
        <translation>{run} 与 {other} 的比较</translation>
    </message>
    <message>
        <source>These runs have looked at no common ground, so there is nothing to compare.</source>
        <translation>这两次运行没有查看过共同的地面，因此没有可比较的内容。</translation>
    </message>
    <message>
        <source>“{run}”: %n detection(s).
“{other}”: {m}.</source>
        <translation>“{run}”：%n 个检测目标。
“{other}”：{m} 个。</translation>
    </message>
    <message>
        <source>Not compared, as only one of the runs has looked there: %n detection(s).</source>
        <translation>只有一次运行查看过该处，未作比较：%n 个检测目标。</translation>
    </message>
    <message>
        <source>The scenes are not the same: boxes are compared by where they are on the ground.</source>
        <translation>两个场景不同：按地面位置比较检测框。</translation>
    </message>
    <message>
        <source>Runs compared</source>
        <translation>运行比较</translation>
    </message>
</context>
<context>
    <name>RunController</name>
    <message>
        <source>Sending “{name}”: {percent:.0f} %</source>
        <translation>正在发送“{name}”：{percent:.0f} %</translation>
    </message>
    <message>
        <source>Cancelled. What was found so far stays on the map.</source>
        <translation>已取消。目前已找到的结果保留在地图上。</translation>
    </message>
    <message>
        <source>The backend gave no reason. Look at its log.</source>
        <translation>后端未给出原因。请查看其日志。</translation>
    </message>
    <message>
        <source>Failed: {reason}</source>
        <translation>失败：{reason}</translation>
    </message>
    <message>
        <source>What was found so far stays on the map.</source>
        <translation>已有结果保留在地图上。</translation>
    </message>
    <message>
        <source>Nothing found.</source>
        <translation>未发现任何目标。</translation>
    </message>
    <message>
        <source>The question about the prior waits for your answer.</source>
        <translation>关于先验的问题正等待您的回答。</translation>
    </message>
    <message>
        <source>No prior can be had now: {reason}</source>
        <translation>目前无法获得先验：{reason}</translation>
    </message>
    <message>
        <source>none can be had for this place.</source>
        <translation>此处无法获得先验。</translation>
    </message>
    <message>
        <source>it was not fetched from the network.</source>
        <translation>未从网络获取。</translation>
    </message>
    <message>
        <source>With prior</source>
        <translation>使用先验</translation>
    </message>
    <message>
        <source>Compare with and without prior</source>
        <translation>比较有无先验</translation>
    </message>
    <message>
        <source>Without a prior: {reason}</source>
        <translation>无先验：{reason}</translation>
    </message>
    <message>
        <source>Cancelled. Nothing was interpreted.</source>
        <translation>已取消。未进行任何解译。</translation>
    </message>
    <message>
        <source>detections so far: {n}</source>
        <translation>目前检测到：{n}</translation>
    </message>
    <message>
        <source>Cancelled.</source>
        <translation>已取消。</translation>
    </message>
    <message>
        <source>This area has {chips} chips. Start?</source>
        <translation>该区域有 {chips} 个切片。开始吗？</translation>
    </message>
    <message>
        <source>This area has {chips} chips, {time} here. Start?</source>
        <translation>该区域有 {chips} 个切片，在此{time}。开始吗？</translation>
    </message>
    <message>
        <source>{time}, as last time</source>
        <translation>{time}（按上次的速度）</translation>
    </message>
    <message>
        <source>The run goes on as it was. {problem}</source>
        <translation>运行照旧继续。{problem}</translation>
    </message>
    <message>
        <source>The backend does not answer; the run goes on when it is back. What was found is safe.</source>
        <translation>后端没有应答；恢复后运行会继续。已有的发现已保存。</translation>
    </message>
    <message>
        <source>waiting {n} s</source>
        <translation>已等待 {n} 秒</translation>
    </message>
    <message>
        <source>Loading the model</source>
        <translation>正在加载模型</translation>
    </message>
    <message>
        <source>Waiting for the backend</source>
        <translation>正在等待后端</translation>
    </message>
    <message>
        <source>Paused at chip {done} of {total}, what was found is safe</source>
        <translation>已暂停于第 {done} / {total} 个切片，已有的发现已保存</translation>
    </message>
    <message>
        <source>Starting, chips to look at: {total}</source>
        <translation>正在开始，要查看的切片：{total}</translation>
    </message>
    <message>
        <source>chip {done} of {total}</source>
        <translation>第 {done} / {total} 个切片</translation>
    </message>
    <message>
        <source>Paused. It can go on when its project is opened again.</source>
        <translation>已暂停。再次打开其工程时可以继续。</translation>
    </message>
    <message>
        <source>Resume</source>
        <translation>继续</translation>
    </message>
    <message>
        <source>Interrupted: {reason}</source>
        <translation>已中断：{reason}</translation>
    </message>
    <message>
        <source>Run again</source>
        <translation>再次运行</translation>
    </message>
</context>
<context>
    <name>RunLayers</name>
    <message>
        <source>Detections</source>
        <translation>检测结果</translation>
    </message>
    <message>
        <source>Grid</source>
        <translation>网格</translation>
    </message>
    <message>
        <source>Answers</source>
        <translation>回答</translation>
    </message>
    <message>
        <source>Cannot write to {path}: {reason}.</source>
        <translation>无法写入 {path}：{reason}。</translation>
    </message>
    <message>
        <source>The findings are in a temporary file. Save the project to keep them.</source>
        <translation>结果在临时文件中。保存工程即可保留。</translation>
    </message>
    <message>
        <source>The findings are in WGS 84: a GeoPackage cannot hold the CRS of the scene as it is.</source>
        <translation>解译结果采用 WGS 84：GeoPackage 无法如实保存场景的坐标系。</translation>
    </message>
    <message>
        <source>it takes no more</source>
        <translation>它无法再写入</translation>
    </message>
    <message>
        <source>The disk is full: {path} takes no more findings.</source>
        <translation>磁盘已满：{path} 无法再写入结果。</translation>
    </message>
    <message>
        <source>The findings are safe in memory. Export them before you close QGIS.</source>
        <translation>结果安全地保存在内存中。请在关闭 QGIS 之前将其导出。</translation>
    </message>
    <message>
        <source>The layer “{name}” was removed while the run goes on: its findings are counted, but no longer shown.</source>
        <translation>运行期间图层“{name}”被移除：其结果仍会计数，但不再显示。</translation>
    </message>
    <message>
        <source>Places</source>
        <translation>地点</translation>
    </message>
</context>
<context>
    <name>RunList</name>
    <message>
        <source>Scene</source>
        <translation>场景</translation>
    </message>
    <message>
        <source>Duration</source>
        <translation>用时</translation>
    </message>
    <message>
        <source>Rename…</source>
        <translation>重命名…</translation>
    </message>
    <message>
        <source>Remove…</source>
        <translation>移除…</translation>
    </message>
    <message>
        <source>Its layers leave the project. Their GeoPackage keeps the findings.</source>
        <translation>其图层将移出工程，GeoPackage 中的结果仍然保留。</translation>
    </message>
    <message>
        <source>Its findings are only in memory and are lost with its layers.</source>
        <translation>其结果仅在内存中，将随图层一并丢失。</translation>
    </message>
    <message>
        <source>Remove the run?</source>
        <translation>移除这次运行？</translation>
    </message>
    <message>
        <source>Compare with</source>
        <translation>比较对象</translation>
    </message>
    <message>
        <source>dim over the same ground</source>
        <translation>淡化同一地面的运行</translation>
    </message>
    <message>
        <source>hide</source>
        <translation>隐藏</translation>
    </message>
    <message>
        <source>leave as they are</source>
        <translation>保持原样</translation>
    </message>
    <message>
        <source>What happens on the map to the runs that are not selected; it is never saved as their style</source>
        <translation>地图上如何处理未选中的运行；绝不会保存为它们的样式</translation>
    </message>
    <message>
        <source>&amp;Other runs:</source>
        <translation>其他运行(&amp;O)：</translation>
    </message>
    <message>
        <source>Rename run</source>
        <translation>重命名运行</translation>
    </message>
    <message>
        <source>Name of the run:</source>
        <translation>运行的名称：</translation>
    </message>
    <message>
        <source>It found nothing. The list forgets that it was looked for.</source>
        <translation>它未发现目标。列表将不再记得曾经查找过。</translation>
    </message>
    <message>
        <source>Run</source>
        <translation>运行</translation>
    </message>
    <message>
        <source>Result</source>
        <translation>结果</translation>
    </message>
    <message>
        <source>Model and prior</source>
        <translation>模型与先验</translation>
    </message>
    <message>
        <source>Zoom to it</source>
        <translation>缩放到该运行</translation>
    </message>
    <message>
        <source>Show the ground of the run on the map (Enter)</source>
        <translation>在地图上显示运行的区域 (Enter)</translation>
    </message>
    <message>
        <source>Run again…</source>
        <translation>再次运行…</translation>
    </message>
    <message>
        <source>Ask the same again; you choose whether the new run replaces this one</source>
        <translation>再次提出同样的问题；由您选择新运行是否替换本次运行</translation>
    </message>
    <message>
        <source>PDF report…</source>
        <translation>PDF 报告…</translation>
    </message>
    <message>
        <source>Write a report of the run: overview, counts, provenance and its findings</source>
        <translation>写出运行的报告：概览、计数、来源及其结果</translation>
    </message>
    <message>
        <source>Give the run, and its group in the Layers panel, a name (F2)</source>
        <translation>为运行及其在图层面板中的组命名 (F2)</translation>
    </message>
    <message>
        <source>Take the run out of the project; a file keeps its findings (Del)</source>
        <translation>将运行移出工程；文件中仍保留其结果 (Del)</translation>
    </message>
    <message>
        <source>%n run(s) over the same ground dimmed on the map</source>
        <translation>地图上淡化了同一地面的 %n 次运行</translation>
    </message>
    <message>
        <source>%n run(s) hidden on the map</source>
        <translation>地图上隐藏了 %n 次运行</translation>
    </message>
    <message>
        <source>No runs yet. Interpret an area first.</source>
        <translation>还没有运行。请先解译一个区域。</translation>
    </message>
    <message>
        <source>Compare with another run over the same ground: what is new, gone, moved and the same</source>
        <translation>与同一地面的另一次运行比较：新增、消失、移动和相同的目标</translation>
    </message>
    <message>
        <source>There is no other run of detections over the same ground to compare with</source>
        <translation>同一地面没有其他可比较的检测运行</translation>
    </message>
</context>
<context>
    <name>RunProgress</name>
    <message>
        <source>Starting…</source>
        <translation>正在启动…</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
    <message>
        <source>Notices</source>
        <translation>须知</translation>
    </message>
    <message>
        <source>Pause</source>
        <translation>暂停</translation>
    </message>
    <message>
        <source>Start</source>
        <translation>开始</translation>
    </message>
    <message>
        <source>Resume</source>
        <translation>继续</translation>
    </message>
</context>
<context>
    <name>RunRow</name>
    <message>
        <source>%n cell(s)</source>
        <translation>%n 个格网单元</translation>
    </message>
    <message>
        <source>nothing found</source>
        <translation>未发现目标</translation>
    </message>
    <message>
        <source>no findings</source>
        <translation>没有结果</translation>
    </message>
    <message>
        <source>under way</source>
        <translation>进行中</translation>
    </message>
    <message>
        <source>finished</source>
        <translation>已完成</translation>
    </message>
    <message>
        <source>cancelled</source>
        <translation>已取消</translation>
    </message>
    <message>
        <source>failed</source>
        <translation>失败</translation>
    </message>
    <message>
        <source>no prior</source>
        <translation>无先验</translation>
    </message>
    <message>
        <source>prior {prior}, simulated</source>
        <translation>先验 {prior}，模拟</translation>
    </message>
    <message>
        <source>prior {prior}</source>
        <translation>先验 {prior}</translation>
    </message>
    <message>
        <source>{n} s</source>
        <translation>{n} 秒</translation>
    </message>
    <message>
        <source>{model} (demonstration)</source>
        <translation>{model}（演示）</translation>
    </message>
</context>
<context>
    <name>Runs</name>
    <message>
        <source>Starting the backend, {n} s</source>
        <translation>正在启动后端，{n} 秒</translation>
    </message>
    <message>
        <source>Starting the backend</source>
        <translation>正在启动后端</translation>
    </message>
</context>
<context>
    <name>Scene</name>
    <message>
        <source>No layer is active. Select a SAR layer in the Layers panel, then try again.</source>
        <translation>没有活动图层。请在图层面板中选择一个 SAR 图层，然后重试。</translation>
    </message>
    <message>
        <source>“{name}” is not a raster. Select a SAR layer in the Layers panel, then try again.</source>
        <translation>“{name}”不是栅格。请在图层面板中选择一个 SAR 图层，然后重试。</translation>
    </message>
    <message>
        <source>“{name}” has no georeferencing. Georeference the file first (Layer, Georeferencer).</source>
        <translation>“{name}”没有地理参考。请先对该文件进行地理配准（图层，地理配准器）。</translation>
    </message>
    <message>
        <source>“{name}” cannot be read. Check its source (right-click, Change Data Source).</source>
        <translation>无法读取“{name}”。请检查其数据源（右键单击，更改数据源）。</translation>
    </message>
    <message>
        <source>“{name}” has no CRS. Set it (right-click the layer, Layer CRS), then try again.</source>
        <translation>“{name}”没有坐标系。请设置（右键单击图层，图层坐标系），然后重试。</translation>
    </message>
    <message>
        <source>The layer that “{name}” shows is not in the project any more. Add the file again.</source>
        <translation>“{name}”所显示的图层已不在工程中。请重新添加该文件。</translation>
    </message>
</context>
<context>
    <name>SceneSearch</name>
    <message>
        <source>Starting the backend, {n} s</source>
        <translation>正在启动后端，{n} 秒</translation>
    </message>
    <message>
        <source>Wait…</source>
        <translation>请稍候……</translation>
    </message>
    <message>
        <source>This backend cannot search yet. Update it in the FUSAR-GPT options.</source>
        <translation>此后端还不能搜索。请在 FUSAR-GPT 选项中更新后端。</translation>
    </message>
    <message>
        <source>Sending “{name}”: {percent:.0f} %</source>
        <translation>正在发送“{name}”：{percent:.0f} %</translation>
    </message>
    <message>
        <source>An example lies far from the scene. Take it away, or search the scene it is on.</source>
        <translation>有一个示例远离此影像。请移除它，或搜索它所在的影像。</translation>
    </message>
    <message>
        <source>Searching…</source>
        <translation>正在搜索…</translation>
    </message>
    <message>
        <source>This scene is indexed first: {slices}, {time}. It is kept for the next time.</source>
        <translation>先为此影像建立索引：{slices}，{time}。索引会保留，下次直接使用。</translation>
    </message>
    <message>
        <source>The rest of this scene is indexed first: {slices}, {time}. It is kept.</source>
        <translation>先为此影像的其余部分建立索引：{slices}，{time}。索引会保留。</translation>
    </message>
    <message>
        <source>Indexing: {done} of {slices}</source>
        <translation>正在建立索引：{done} / {slices}</translation>
    </message>
    <message>
        <source>Indexing: {done} of {slices}, {time} left</source>
        <translation>正在建立索引：{done} / {slices}，还需{time}</translation>
    </message>
    <message>
        <source>The layer “{name}” is no longer in the project. Add it, then search again.</source>
        <translation>图层“{name}”已不在工程中。请添加它，然后重新搜索。</translation>
    </message>
    <message>
        <source>%n slice(s)</source>
        <translation>%n 个切片</translation>
    </message>
    <message>
        <source>about %n second(s)</source>
        <translation>约 %n 秒</translation>
    </message>
    <message>
        <source>about %n minute(s)</source>
        <translation>约 %n 分钟</translation>
    </message>
    <message>
        <source>about %n hour(s)</source>
        <translation>约 %n 小时</translation>
    </message>
</context>
<context>
    <name>SceneUpload</name>
    <message>
        <source>Cut out of “{name}”</source>
        <translation>已从“{name}”裁出</translation>
    </message>
</context>
<context>
    <name>ScopeMenu</name>
    <message>
        <source>Where to search, and for how many places</source>
        <translation>在哪里搜索，以及找多少个地点</translation>
    </message>
    <message>
        <source>Scene</source>
        <translation>影像</translation>
    </message>
    <message>
        <source>View</source>
        <translation>视图</translation>
    </message>
    <message>
        <source>Drawn</source>
        <translation>绘制范围</translation>
    </message>
    <message>
        <source>Selected</source>
        <translation>所选</translation>
    </message>
    <message>
        <source>The whole s&amp;cene</source>
        <translation>整幅影像(&amp;C)</translation>
    </message>
    <message>
        <source>What the map &amp;shows</source>
        <translation>地图当前显示的范围(&amp;S)</translation>
    </message>
    <message>
        <source>&amp;Draw a rectangle…</source>
        <translation>绘制矩形(&amp;D)…</translation>
    </message>
    <message>
        <source>The selected &amp;polygons</source>
        <translation>所选的多边形(&amp;P)</translation>
    </message>
    <message>
        <source>&amp;Number of places</source>
        <translation>地点数量(&amp;N)</translation>
    </message>
    <message>
        <source>&amp;Encoder</source>
        <translation>编码器(&amp;E)</translation>
    </message>
</context>
<context>
    <name>Search</name>
    <message>
        <source>Search SAR</source>
        <translation>搜索 SAR</translation>
    </message>
    <message>
        <source>&lt;b&gt;Search SAR&lt;/b&gt;&lt;br&gt;Type what to find in the active SAR layer, and get the places most like it</source>
        <translation>&lt;b&gt;搜索 SAR&lt;/b&gt;&lt;br&gt;输入要在当前 SAR 图层中找什么，得到最相似的地点</translation>
    </message>
    <message>
        <source>Search</source>
        <translation>搜索</translation>
    </message>
</context>
<context>
    <name>SearchPanel</name>
    <message>
        <source>Type what to find and press Enter. Or right-click a place on the map and choose “More like this”.</source>
        <translation>输入要找的内容，然后按回车键。也可以在地图上右键单击某处，选择“更像这里”。</translation>
    </message>
    <message>
        <source>ships at a dock, farmland by a river…</source>
        <translation>码头边的船，河边的农田…</translation>
    </message>
    <message>
        <source>What to find in the scene, in English or Chinese. Enter searches.</source>
        <translation>要在影像中找什么，可用中文或英文。按回车键搜索。</translation>
    </message>
    <message>
        <source>What to find in the scene</source>
        <translation>要在影像中找什么</translation>
    </message>
    <message>
        <source>Index and search</source>
        <translation>建立索引并搜索</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>停止</translation>
    </message>
    <message>
        <source>Count, detect or describe in these places alone; a dialog asks what. Select some, or take all.</source>
        <translation>只在这些地点计数、检测或描述；对话框会询问做什么。可以选择其中几个，或全部使用。</translation>
    </message>
    <message>
        <source>“{title}” is a demonstration.</source>
        <translation>“{title}”仅供演示。</translation>
    </message>
    <message>
        <source>It was taught words such as: {words}</source>
        <translation>它学过的词语有：{words}</translation>
    </message>
    <message>
        <source>Drag a rectangle on the map.</source>
        <translation>请在地图上拖出一个矩形。</translation>
    </message>
    <message>
        <source>Press Enter to search like this.</source>
        <translation>按回车键即按此搜索。</translation>
    </message>
    <message>
        <source>Stopped. What is indexed by now is kept; press Enter to go on.</source>
        <translation>已停止。已建立的索引会保留；按回车键继续。</translation>
    </message>
    <message>
        <source>A demonstration encoder: look at what it finds, do not rely on it.</source>
        <translation>这是演示用的编码器：可以看看它找到了什么，不要依赖其结果。</translation>
    </message>
    <message>
        <source>No place was found. Search the whole scene, or use other words.</source>
        <translation>没有找到地点。请搜索整幅影像，或换用其他词语。</translation>
    </message>
    <message>
        <source>%n place(s), the best first</source>
        <translation>%n 个地点，最相似的在前</translation>
    </message>
    <message>
        <source>Scene: “{name}”</source>
        <translation>影像：“{name}”</translation>
    </message>
    <message>
        <source>A part of the scene “{name}”</source>
        <translation>影像“{name}”的一部分</translation>
    </message>
    <message>
        <source>Search</source>
        <translation>搜索</translation>
    </message>
    <message>
        <source>The map cannot show that place in its coordinate system.</source>
        <translation>地图无法在其坐标系中显示该位置。</translation>
    </message>
    <message>
        <source>Interpret %n selected place(s)…</source>
        <translation>解译所选的 %n 个地点…</translation>
    </message>
    <message>
        <source>Interpret these %n place(s)…</source>
        <translation>解译这 %n 个地点…</translation>
    </message>
</context>
<context>
    <name>ServerSection</name>
    <message>
        <source>Kept in QGIS&apos;s authentication storage</source>
        <translation>保存在 QGIS 的认证存储中</translation>
    </message>
    <message>
        <source>From who runs the server</source>
        <translation>由服务器管理者提供</translation>
    </message>
    <message>
        <source>Choose the file that holds the token</source>
        <translation>选择保存令牌的文件</translation>
    </message>
    <message>
        <source>None</source>
        <translation>无</translation>
    </message>
    <message>
        <source>&amp;Test connection</source>
        <translation>测试连接(&amp;T)</translation>
    </message>
    <message>
        <source>&amp;Address</source>
        <translation>地址(&amp;A)</translation>
    </message>
    <message>
        <source>T&amp;oken</source>
        <translation>令牌(&amp;O)</translation>
    </message>
    <message>
        <source>Or token fi&amp;le</source>
        <translation>或令牌文件(&amp;L)</translation>
    </message>
    <message>
        <source>With an SSH tunnel the address is http://127.0.0.1 and the tunnel&apos;s port. Scenes that are on this computer are sent to the server, only the part under the area.</source>
        <translation>使用 SSH 隧道时，地址为 http://127.0.0.1 加隧道端口。本机上的影像会发送给服务器，只发送区域之下的部分。</translation>
    </message>
    <message>
        <source>The variable FUSAR_URL is set to {url} and goes before these settings.</source>
        <translation>变量 FUSAR_URL 已设为 {url}，优先于这些设置。</translation>
    </message>
    <message>
        <source>The token file cannot be read: {error}.</source>
        <translation>无法读取令牌文件：{error}。</translation>
    </message>
    <message>
        <source>Connecting…</source>
        <translation>正在连接……</translation>
    </message>
    <message>
        <source>Connected to FUSAR-GPT {version} on {device}, model: {models}.</source>
        <translation>已连接到 {device} 上的 FUSAR-GPT {version}，模型：{models}。</translation>
    </message>
    <message>
        <source>Not a valid URL. Example: https://gpu.example.org:8765</source>
        <translation>网址无效。示例：https://gpu.example.org:8765</translation>
    </message>
</context>
<context>
    <name>Status</name>
    <message>
        <source>not started</source>
        <translation>未启动</translation>
    </message>
    <message>
        <source>starting…</source>
        <translation>正在启动……</translation>
    </message>
    <message>
        <source>ready ({device})</source>
        <translation>就绪（{device}）</translation>
    </message>
    <message>
        <source>stopped</source>
        <translation>已停止</translation>
    </message>
    <message>
        <source>Click for the FUSAR-GPT options.</source>
        <translation>单击打开 FUSAR-GPT 选项。</translation>
    </message>
    <message>
        <source>not installed</source>
        <translation>未安装</translation>
    </message>
    <message>
        <source>The backend stopped and is started again. What was under way goes on.</source>
        <translation>后端已停止，正在重新启动。进行中的工作会继续。</translation>
    </message>
</context>
<context>
    <name>Storage</name>
    <message>
        <source>it is read-only</source>
        <translation>它是只读的</translation>
    </message>
    <message>
        <source>another program is writing to it</source>
        <translation>另一个程序正在写入它</translation>
    </message>
</context>
<context>
    <name>Styles</name>
    <message>
        <source>found</source>
        <translation>有目标</translation>
    </message>
    <message>
        <source>nothing found</source>
        <translation>无目标</translation>
    </message>
    <message>
        <source>answered</source>
        <translation>已回答</translation>
    </message>
    <message>
        <source>not understood, or no data</source>
        <translation>无法理解，或无数据</translation>
    </message>
    <message>
        <source>{name} ({n} hidden)</source>
        <translation>{name}（已隐藏 {n} 个）</translation>
    </message>
</context>
<context>
    <name>Token</name>
    <message>
        <source>QGIS&apos;s authentication system is switched off ({reason}), so it cannot keep the token. Start QGIS with the token in the variable FUSAR_TOKEN and the address in FUSAR_URL.</source>
        <translation>QGIS 的认证系统已关闭（{reason}），无法保存令牌。请把令牌放入变量 FUSAR_TOKEN、地址放入 FUSAR_URL 后启动 QGIS。</translation>
    </message>
    <message>
        <source>QGIS&apos;s authentication storage, where the token belongs, is locked. Try again and enter QGIS&apos;s master password (Settings, Options, Authentication).</source>
        <translation>存放令牌的 QGIS 认证存储已锁定。请重试并输入 QGIS 主密码（设置、选项、认证）。</translation>
    </message>
</context>
<context>
    <name>Transcript</name>
    <message>
        <source>What do you want to know about this area?</source>
        <translation>关于这个区域，您想知道什么？</translation>
    </message>
    <message>
        <source>Choose an area below and ask in your own words. What an answer found is a link to the map.</source>
        <translation>请在下方选择区域，并用您自己的话提问。回答中找到的对象链接到地图。</translation>
    </message>
    <message>
        <source>Suggested questions</source>
        <translation>建议的问题</translation>
    </message>
</context>
<context>
    <name>TurnView</name>
    <message>
        <source>Answer</source>
        <translation>回答</translation>
    </message>
    <message>
        <source>Stopped.</source>
        <translation>已停止。</translation>
    </message>
    <message>
        <source>The area on the map. Click to go there.</source>
        <translation>地图上的区域。单击前往。</translation>
    </message>
    <message>
        <source>Add to map</source>
        <translation>添加到地图</translation>
    </message>
    <message>
        <source>Add what was found as layers</source>
        <translation>把找到的对象添加为图层</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>复制</translation>
    </message>
    <message>
        <source>Copy the answer&apos;s text</source>
        <translation>复制回答的文字</translation>
    </message>
    <message>
        <source>Ask again</source>
        <translation>重新提问</translation>
    </message>
    <message>
        <source>Ask the same question again</source>
        <translation>再次提出同一个问题</translation>
    </message>
    <message>
        <source>Chips seen: {n}</source>
        <translation>看过的图块：{n}</translation>
    </message>
    <message>
        <source>Picture of the area</source>
        <translation>区域图片</translation>
    </message>
    <message>
        <source>Show or hide the pictures of what was looked at</source>
        <translation>显示或隐藏模型所看内容的图片</translation>
    </message>
    <message>
        <source>A chip as the model saw it. Click to show its place on the map.</source>
        <translation>模型所见的一个图块。点击可在地图上显示其位置。</translation>
    </message>
    <message>
        <source>Show a chip on the map:</source>
        <translation>在地图上显示图块：</translation>
    </message>
</context>
<context>
    <name>UnfinishedOffer</name>
    <message>
        <source>This run has not ended. What it has found is kept.</source>
        <translation>这次运行尚未结束。已有的发现已保留。</translation>
    </message>
    <message>
        <source>This run stopped at chip {done} of {total} or later. What it has found is kept.</source>
        <translation>这次运行停在第 {done} / {total} 个切片或之后。已有的发现已保留。</translation>
    </message>
    <message>
        <source>Resume</source>
        <translation>继续</translation>
    </message>
    <message>
        <source>Give up</source>
        <translation>放弃</translation>
    </message>
</context>
<context>
    <name>Welcome</name>
    <message>
        <source>Welcome to FUSAR-GPT</source>
        <translation>欢迎使用 FUSAR-GPT</translation>
    </message>
    <message>
        <source>Open the sample scene</source>
        <translation>打开示例影像</translation>
    </message>
    <message>
        <source>Set up…</source>
        <translation>设置……</translation>
    </message>
    <message>
        <source>The backend has no sample scene. Press Update in the FUSAR-GPT options.</source>
        <translation>后端没有示例影像。请在 FUSAR-GPT 选项中点击“更新”。</translation>
    </message>
    <message>
        <source>{title} (simulated)</source>
        <translation>{title}（模拟）</translation>
    </message>
    <message>
        <source>QGIS cannot open the sample scene {path}.</source>
        <translation>QGIS 无法打开示例影像 {path}。</translation>
    </message>
    <message>
        <source>Sample scene</source>
        <translation>示例影像</translation>
    </message>
    <message>
        <source>Opening the sample scene…</source>
        <translation>正在打开示例影像……</translation>
    </message>
    <message>
        <source>Show the findings</source>
        <translation>显示结果</translation>
    </message>
    <message>
        <source>Install…</source>
        <translation>安装……</translation>
    </message>
    <message>
        <source>Choose a server…</source>
        <translation>选择服务器……</translation>
    </message>
    <message>
        <source>Next step</source>
        <translation>下一步</translation>
    </message>
    <message>
        <source>The program that runs the model is not installed yet.</source>
        <translation>尚未安装运行模型的程序。</translation>
    </message>
    <message>
        <source>See what was found in a table with pictures; there you accept or reject it.</source>
        <translation>在带图片的表格中查看结果，并在那里接受或拒绝。</translation>
    </message>
    <message>
        <source>Press “Interpret SAR”, drag a box over the harbour, then press Start.</source>
        <translation>按“解译 SAR”，在港口上拖出一个矩形，然后按“开始”。</translation>
    </message>
    <message>
        <source>Add a SAR image as a layer, or try the plugin on a sample.</source>
        <translation>请把 SAR 影像添加为图层，或用示例影像试用本插件。</translation>
    </message>
    <message>
        <source>Press “Interpret SAR”, drag a box over a part of your SAR layer, then press Start.</source>
        <translation>按“解译 SAR”，在 SAR 图层的一部分上拖出一个矩形，然后按“开始”。</translation>
    </message>
</context>
<context>
    <name>Wording</name>
    <message>
        <source>Count</source>
        <translation>计数</translation>
    </message>
    <message>
        <source>Describe</source>
        <translation>描述</translation>
    </message>
    <message>
        <source>demonstration model</source>
        <translation>演示模型</translation>
    </message>
    <message>
        <source>model {model}</source>
        <translation>模型 {model}</translation>
    </message>
    <message>
        <source>no prior</source>
        <translation>无先验</translation>
    </message>
    <message>
        <source>prior {prior}</source>
        <translation>先验 {prior}</translation>
    </message>
    <message>
        <source>simulated scene</source>
        <translation>模拟影像</translation>
    </message>
    <message>
        <source>Detect</source>
        <translation>检测</translation>
    </message>
    <message>
        <source>Locate</source>
        <translation>定位</translation>
    </message>
    <message>
        <source>a box around each object</source>
        <translation>为每个目标给出边框</translation>
    </message>
    <message>
        <source>the cells of a 3 by 3 grid with objects</source>
        <translation>3×3 网格中含目标的单元</translation>
    </message>
    <message>
        <source>how many objects there are</source>
        <translation>目标的数量</translation>
    </message>
    <message>
        <source>the area in words</source>
        <translation>用文字描述该区域</translation>
    </message>
    <message>
        <source>simulated prior</source>
        <translation>模拟先验</translation>
    </message>
    <message>
        <source>Classify</source>
        <translation>分类</translation>
    </message>
    <message>
        <source>Ask</source>
        <translation>提问</translation>
    </message>
    <message>
        <source>what each of your polygons is</source>
        <translation>您的每个多边形是什么</translation>
    </message>
    <message>
        <source>a question of your own</source>
        <translation>您自己的问题</translation>
    </message>
    <message>
        <source>from detections</source>
        <translation>来自检测结果</translation>
    </message>
    <message>
        <source>sum of chips</source>
        <translation>各切片之和</translation>
    </message>
    <message>
        <source>the model&apos;s own count</source>
        <translation>模型自己的计数</translation>
    </message>
    <message>
        <source>at least {n}</source>
        <translation>至少 {n}</translation>
    </message>
    <message>
        <source>{n} % of the chips agree</source>
        <translation>{n} % 的切片一致</translation>
    </message>
    <message>
        <source>understood as: {task}</source>
        <translation>理解为：{task}</translation>
    </message>
    <message>
        <source>This model answers only questions that are one of its tasks: {tasks}.</source>
        <translation>该模型只回答属于其任务的问题：{tasks}。</translation>
    </message>
    <message>
        <source>It knows: {targets}.</source>
        <translation>它认识：{targets}。</translation>
    </message>
    <message>
        <source>And: {questions}</source>
        <translation>还有：{questions}</translation>
    </message>
    <message>
        <source>added by the prior</source>
        <translation>因先验新增</translation>
    </message>
    <message>
        <source>removed by the prior</source>
        <translation>因先验去除</translation>
    </message>
    <message>
        <source>moved by the prior</source>
        <translation>因先验移动</translation>
    </message>
    <message>
        <source>same with and without</source>
        <translation>有无先验相同</translation>
    </message>
    <message>
        <source>{width} x {height} m</source>
        <translation>{width} x {height} 米</translation>
    </message>
    <message>
        <source>{width} x {height} km</source>
        <translation>{width} x {height} 公里</translation>
    </message>
    <message>
        <source>{target} in {hits} of %n cell(s)</source>
        <translation>%n 个网格单元中有 {hits} 个含 {target}</translation>
    </message>
    <message>
        <source>no {target} in %n cell(s)</source>
        <translation>%n 个网格单元中没有 {target}</translation>
    </message>
    <message>
        <source>object</source>
        <translation>目标</translation>
    </message>
    <message>
        <source>%n detection(s)</source>
        <translation>%n 个检测目标</translation>
    </message>
    <message>
        <source>%n answer(s)</source>
        <translation>%n 个回答</translation>
    </message>
    <message>
        <source>%n not understood</source>
        <translation>%n 个未能理解</translation>
    </message>
    <message>
        <source>%n chip(s) without enough data</source>
        <translation>%n 个切片数据不足</translation>
    </message>
    <message>
        <source>new</source>
        <translation>新增</translation>
    </message>
    <message>
        <source>gone</source>
        <translation>消失</translation>
    </message>
    <message>
        <source>moved</source>
        <translation>移动</translation>
    </message>
    <message>
        <source>same</source>
        <translation>相同</translation>
    </message>
    <message>
        <source>chips that agree: {n} of {chips}</source>
        <translation>一致的切片：{chips} 个中有 {n} 个</translation>
    </message>
    <message>
        <source>about {n} s</source>
        <translation>约需 {n} 秒</translation>
    </message>
    <message>
        <source>about {n} min</source>
        <translation>约需 {n} 分钟</translation>
    </message>
    <message>
        <source>about {n} h</source>
        <translation>约需 {n} 小时</translation>
    </message>
    <message>
        <source>{time} left</source>
        <translation>剩余时间{time}</translation>
    </message>
    <message>
        <source>Search by example</source>
        <translation>按示例搜索</translation>
    </message>
    <message>
        <source>%n place(s)</source>
        <translation>%n 个位置</translation>
    </message>
    <message>
        <source>Search: {words}</source>
        <translation>搜索：{words}</translation>
    </message>
</context>
<context>
    <name>WorkLog</name>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
    <message>
        <source>&amp;Log</source>
        <translation>日志(&amp;L)</translation>
    </message>
</context>
<context>
    <name>WorkSection</name>
    <message>
        <source>A GeoPackage beside the project</source>
        <translation>工程旁的 GeoPackage</translation>
    </message>
    <message>
        <source>A temporary file, gone with QGIS</source>
        <translation>临时文件，随 QGIS 关闭而消失</translation>
    </message>
    <message>
        <source>None: from the image alone</source>
        <translation>无：仅凭影像</translation>
    </message>
    <message>
        <source>AlphaEarth public files</source>
        <translation>AlphaEarth 公开文件</translation>
    </message>
    <message>
        <source>AlphaEarth by Earth Engine</source>
        <translation>通过 Earth Engine 获取 AlphaEarth</translation>
    </message>
    <message>
        <source>A file</source>
        <translation>文件</translation>
    </message>
    <message>
        <source>Choose a prior</source>
        <translation>选择先验</translation>
    </message>
    <message>
        <source>Prior: 64-band raster or AlphaEarth points</source>
        <translation>先验：64 波段栅格或 AlphaEarth 点</translation>
    </message>
    <message>
        <source>Keep &amp;results in</source>
        <translation>结果保存于(&amp;R)</translation>
    </message>
    <message>
        <source>Re&amp;viewer&apos;s name</source>
        <translation>审核者姓名(&amp;V)</translation>
    </message>
    <message>
        <source>&amp;Prior</source>
        <translation>先验(&amp;P)</translation>
    </message>
    <message>
        <source>Automatic: at hand, else fetched</source>
        <translation>自动：先用手头的，否则获取</translation>
    </message>
    <message>
        <source>Ask before it is fetched</source>
        <translation>获取前询问</translation>
    </message>
    <message>
        <source>Fetch it without a question</source>
        <translation>直接获取，不询问</translation>
    </message>
    <message>
        <source>Never fetch it</source>
        <translation>从不获取</translation>
    </message>
    <message>
        <source>From the &amp;network</source>
        <translation>来自网络(&amp;N)</translation>
    </message>
    <message>
        <source>The reviewer&apos;s name is written beside each decision. A prior is what satellites saw of the same ground in a year (AlphaEarth). What is at hand, beside the scene or fetched before, goes first; else the backend fetches tiles from public files or Earth Engine: only the tile numbers leave it.</source>
        <translation>每项决定旁会写上审核者的姓名。先验是卫星一年中对同一地面的观测（AlphaEarth）。先用手头已有的（场景旁的或以前获取的）；否则由后端从公开文件或 Earth Engine 获取瓦片：只有瓦片编号会离开后端。</translation>
    </message>
    <message>
        <source>Never</source>
        <translation>从不</translation>
    </message>
    <message>
        <source>chips</source>
        <translation>个切片</translation>
    </message>
    <message>
        <source>Larger runs say how many chips they have, and how long that takes, and wait for your word</source>
        <translation>更大的运行会先说明切片数和所需时间，等您确认</translation>
    </message>
    <message>
        <source>&amp;Ask before more than</source>
        <translation>超过多少时先询问(&amp;A)</translation>
    </message>
</context>
</TS>
